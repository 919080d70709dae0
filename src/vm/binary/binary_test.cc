// SPDX-License-Identifier: Apache-2.0
#include "vm/binary/binary.h"

#include <gtest/gtest.h>

#include <chrono>

#include "vm/binary/bytes.h"
#include "vm/binary/layout.h"
#include "vm/program/builder.h"
#include "vm/text/text.h"

namespace bcai::vm {
namespace {

using namespace std::string_literals;

Program parsed(std::string_view text) {
  std::vector<Finding> findings;
  std::optional<Program> program = parse_text(text, &findings);
  EXPECT_EQ(findings_text(findings), "");
  return program ? *std::move(program) : Program();
}

std::string refusal(std::string_view bytes) {
  std::vector<BinaryFinding> findings;
  EXPECT_FALSE(decode(bytes, &findings));
  if (findings.size() != 1) return "";
  return fmt::format("{} {}: {}", findings[0].offset, findings[0].rule, findings[0].message);
}

const std::string kWhole =
    "bcvm 1.0 profile n1\nsym B in [1,32], S in [8,512] mult 8\nweights w sha256:" +
    std::string(64, 'a') + R"( size 90868376
func @main(%ids: i32[B,S], %"a:0": state<f32[1,64]>, %go: bool[]) -> (%e: f32[], %"7": f32[]) {
  %3 = Param w "embeddings.word" : f32[30522,384]
  %4 = EmbeddingLookup %3, %ids : f32[B,S,384]
  %5 = TensorMatMul %4, %3 {transpose_b=1, activation=relu} : f32[B,S,30522]
  %6, %7 = Split %5 {axis=2, sizes=[10, 30512]} : f32[B,S,10], f32[B,S,30512]
  %8 = Const [0x1p+0, -inf, nan, 0x1.8p+0] : f32[4]
  %9 = TransformerAttention %4, %4, %4, _, %8 {heads=12, scale=0x1.6a09e6p-3} : f32[B,S,384]
  %11 = Repeat %4 {trip=[floor_div(S*B - 3, 4)*B + 1]} (%10: f32[B,S,384]) {
    return %10
  } : f32[B,S,384]
  %12 = ConvolutionForward %11 {strides=[2, 2]} : f32[2*B*S - 1,384]
  %17 = Cond %go {
    %14 = Repeat %12 {trip=[4], until=1} (%13: f32[2*B*S - 1,384]) {
      return %go, %13
    } : f32[2*B*S - 1,384]
    return %14
  } {
    %15 = Param w "b" : f32[]
    %16 = Call @other %12, %15 : f32[2*B*S - 1,384]
    return %16
  } : f32[2*B*S - 1,384]
  %18 = Const [0, 1] : bool[2]
  Call @other
  return %17, %8
}
func @other(%x: f32[4], %"a:0": f32[]) -> () {
  %2 = Const [0x1p+0, -inf, nan, 0x1.8p+0] : f32[4]
  return %x
}
checkpoints %4, %ids
)";

TEST(BinaryTest, OneProgramHasOneByteString) {
  const Program program = parsed(kWhole);
  const std::string bytes = encode(program);
  std::vector<BinaryFinding> findings;
  const std::optional<Program> back = decode(bytes, &findings);
  ASSERT_TRUE(back) << findings[0].offset << ": " << findings[0].message;
  EXPECT_TRUE(same_program(*back, program));
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(program_identity(*back), Sha256::of(bytes));
}

// The example of docs/formats/bcvm.md.
TEST(BinaryTest, TheBytesAreThoseOfTheFormatsPage) {
  const std::string bytes = encode(
      parsed("bcvm 1.0 profile n1\nsym B in [1,32]\nfunc @main(%x: f32[B,4]) -> (%y: f32[B,4]) {\n"
             "%1 = Const [0.5] : f32[1]\n%2 = LeakyRelu %x {alpha=0.25} : f32[B,4]\n"
             "%3 = Mul %2, %1 : f32[B,4]\nreturn %3\n}\n"));
  EXPECT_EQ(to_hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}),
            "4243564d0100000001"
            "0206010142024002"
            "030e0201010002010201000201010008"
            "040100050100"
            "060601000000003f"
            "073001046d61696e010178010101790104"
            "02000000000100"
            "17020101010e0000803e0101"
            "0303020302000101"
            "040f01040000"
            "080100");
}

// Whatever one byte becomes: refused, or the one form of another program.
TEST(BinaryTest, EveryMutationIsRefusedOrCanonical) {
  const std::string bytes = encode(parsed(kWhole));
  std::vector<BinaryFinding> findings;
  for (size_t size = 0; size < bytes.size(); size += 3) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), &findings)) << size;
  }
  size_t accepted = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 2, 0x80}) {
      std::string mutated = bytes;
      mutated[at] = static_cast<char>(mutated[at] ^ flip);
      const std::optional<Program> program = decode(mutated, &findings);
      if (!program) continue;
      ++accepted;
      ASSERT_EQ(encode(*program), mutated) << at << " ^ " << flip;
    }
  }
  EXPECT_GT(accepted, 0U);  // names, digests, numbers
}

// A program of empty sections, with some replaced.
std::string with_sections(const std::vector<std::pair<Section, std::string>>& sections) {
  ByteWriter out;
  out.raw("BCVM\x01\x00\x00\x00\x01"s);
  for (uint8_t id = 2; id <= 8; ++id) {
    std::string payload = "\x00"s;
    for (const auto& [section, content] : sections) {
      if (static_cast<uint8_t>(section) == id) payload = content;
    }
    out.u8(id);
    out.text(payload);
  }
  return out.take();
}

TEST(BinaryTest, RefusalsNameOffsetAndRule) {
  std::vector<BinaryFinding> findings;
  EXPECT_TRUE(decode(with_sections({}), &findings));
  EXPECT_EQ(refusal(""), "0 V1: 4 bytes expected, 0 are left");
  EXPECT_EQ(refusal("BCVN"), "0 V2: the first bytes are not BCVM");
  EXPECT_EQ(refusal("BCVM\x02\x00\x00\x00\x01"s), "4 V4: version 2.0, expected 1.0 to 1.0");
  EXPECT_EQ(refusal("BCVM\x01\x00\x00\x00\x02"s), "8 V4: profile 2 is not known");
  EXPECT_EQ(refusal("BCVM\x01\x00\x00\x00\x01\x03"s), "9 V2: section 3, expected 2");
  EXPECT_EQ(refusal(with_sections({}) + "x"), "30 V2: section 120, expected 9");
  EXPECT_EQ(refusal(with_sections({{Section::kSymbols, "\x00\x00"s}})),
            "12 V2: 1 bytes after a section's end");
  EXPECT_EQ(refusal(with_sections({{Section::kSymbols, "\x80\x00"s}})),
            "11 V3: a number in more bytes than it needs");
  EXPECT_EQ(refusal(with_sections({{Section::kSymbols, "\x08"s}})),
            "11 V1: the count of symbols is 8, more than the 0 bytes that are left can hold");
  EXPECT_EQ(refusal(with_sections({{Section::kSymbols,
                                    "\x01\x02"
                                    "7a\x00\x00\x00"s}})),
            "12 V3: a symbol's name is an identifier");
  EXPECT_EQ(refusal(with_sections({{Section::kTypes, "\x01\x09\x00"s}})),
            "15 V3: dtype 9 is not known");
  EXPECT_EQ(refusal(with_sections({{Section::kTypes, "\x01\x01\x00"s}})),
            "28 V3: type 0 is not used");
  EXPECT_EQ(refusal(with_sections({{Section::kTypes, "\x02\x01\x00\x01\x00"s}})),
            "17 V3: type 1 is there twice");
  // 1*? + 0 with a symbol that is not declared; then a product without factors.
  EXPECT_EQ(refusal(with_sections({{Section::kTypes, "\x01\x01\x01\x01\x00\x02\x01\x01"s}})),
            "17 V3: symbol 0 of 0");
  EXPECT_EQ(refusal(with_sections({{Section::kTypes, "\x01\x01\x01\x01\x00\x02\x00"s}})),
            "17 V3: a dimension is not in its canonical form");
  EXPECT_EQ(refusal(with_sections({{Section::kCheckpoints, "\x01\x00"s}})),
            "30 V3: checkpoint 0 of 0 values");
}

TEST(BinaryTest, CustomSectionsAreIgnored) {
  const Program program = parsed(kWhole);
  const std::string bytes = encode(program);
  std::vector<BinaryFinding> findings;
  const std::optional<Program> back =
      decode(bytes + "\x09\x05\x04name" + "\x09\x06\x04nameX", &findings);
  ASSERT_TRUE(back) << findings[0].offset << ": " << findings[0].message;
  EXPECT_TRUE(same_program(*back, program));
}

TEST(BinaryTest, HostileNestingIsRefused) {
  // floor_div(floor_div(…
  std::string dim;
  for (int i = 0; i < 100'000; ++i) dim += "\x01\x00\x02\x01\x00\x04"s;
  EXPECT_NE(refusal(with_sections({{Section::kTypes, "\x01\x01\x01"s + dim}})).find("nested"),
            std::string::npos);
}

TEST(BinaryTest, BuiltProgramsAreRead) {
  Builder b;
  const uint32_t file = b.file({"w", Sha256::of("w"), 1});
  const ValueId x = b.argument("x", {DType::kF32, {4, 8}});
  const ValueId w = b.param(file, "w", {DType::kF32, {8, 8}});
  const ValueId again = b.param(file, "w", {DType::kF32, {8, 8}});
  const ValueId one = b.constant_f32({1.0F});
  const ValueId other_one = b.constant_f32({1.0F});
  const ValueId y = b.add(Opcode::kTensorMatMul, {b.add(Opcode::kTensorMatMul, {x, w}), again});
  const ValueId z = b.add(Opcode::kAdd, {b.add(Opcode::kAdd, {y, one}), other_one});
  Result<Program> program = b.finish({{"z", z}});
  ASSERT_TRUE(program);
  EXPECT_EQ(program->params.size(), 1U);
  EXPECT_EQ(program->constants.size(), 1U);
  std::vector<BinaryFinding> findings;
  const std::optional<Program> back = decode(encode(*program), &findings);
  ASSERT_TRUE(back) << findings[0].message;
  EXPECT_TRUE(same_program(*back, *program));
  EXPECT_TRUE(same_program(parsed(print_text(*program)), *program));
}

TEST(BinaryTest, AThousandInstructionsAreRead) {
  std::string text = "bcvm 1.0 profile n1\nfunc @main(%x: f32[8,128]) -> () {\n";
  for (int i = 1; i <= 1000; ++i) {
    text += fmt::format("%{} = TensorMatMul %{}, %{} {{transpose_b=1}} : f32[8,128]\n", i,
                        i > 1 ? std::to_string(i - 1) : "x", i > 2 ? std::to_string(i - 2) : "x");
  }
  const std::string bytes = encode(parsed(text + "return %1000\n}\n"));
  std::vector<BinaryFinding> findings;
  const auto before = std::chrono::steady_clock::now();
  const std::optional<Program> program = decode(bytes, &findings);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
  ASSERT_TRUE(program);
  RecordProperty("decode_ms", std::to_string(took.count()));
}

}  // namespace
}  // namespace bcai::vm
