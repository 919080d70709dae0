// SPDX-License-Identifier: Apache-2.0
#include "vm/text/text.h"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include "vm/text/number.h"

namespace bcai::vm {
namespace {

const std::string kZeros(64, '0');
const std::string kHeader = "bcvm 1.0 profile n1\n";

std::string findings_of(std::string_view text) {
  std::vector<Finding> findings;
  EXPECT_FALSE(parse_text(text, &findings));
  EXPECT_FALSE(findings.empty());
  return findings_text(findings);
}

Program parsed(std::string_view text) {
  std::vector<Finding> findings;
  std::optional<Program> program = parse_text(text, &findings);
  EXPECT_EQ(findings_text(findings), "");
  return program ? *std::move(program) : Program();
}

// One instruction in a function of two arguments, %a and %b.
std::string in_main(std::string_view line) {
  return kHeader + "sym B in [1,32]\nweights w sha256:" + kZeros +
         " size 8\nfunc @main(%a: f32[B,4], %b: f32[4]) -> () {\n" + std::string(line) +
         "\nreturn\n}\n";
}

const std::string kWhole = kHeader + R"(sym B in [1,32], S in [8,512] mult 8
weights model sha256:)" + kZeros +
                           R"( size 90868376
weights "two words" sha256:)" +
                           kZeros +
                           R"( size 0

func @main(%ids: i32[B,S], %"a:0": state<f32[1,64]>, %go: bool[]) -> (%e: f32[], %"7": f32[]) {
  %3 = Param model "embeddings.word" : f32[30522,384]
  %4 = EmbeddingLookup %3, %ids : f32[B,S,384]
  %5 = TensorMatMul %4, %3 {transpose_b=1, activation=relu} : f32[B,S,30522]
  %6, %7 = Split %5 {axis=2, sizes=[10, 30512]} : f32[B,S,10], f32[B,S,30512]
  %8 = Const [0x1p+0, -inf, nan, 0x1.8p+0] : f32[4]
  %9 = TransformerAttention %4, %4, %4, _, %8 {heads=12, scale=0x1.6a09e6p-3} : f32[B,S,384]
  %11 = Repeat %4 {trip=[floor_div(S + 3, 4)]} (%10: f32[B,S,384]) {
    return %10
  } : f32[B,S,384]
  %12 = Reshape %11 : f32[2*B*S - 1,384]
  %17 = Cond %go {
    %14 = Repeat %12 {trip=[4], until=1} (%13: f32[2*B*S - 1,384]) {
      return %go, %13
    } : f32[2*B*S - 1,384]
    return %14
  } {
    %15 = Param "two words" "a \"quoted\"\\\x0a name" : f32[]
    %16 = Call @other %12, %15 : f32[2*B*S - 1,384]
    return %16
  } : f32[2*B*S - 1,384]
  Call @other
  return %17, %8
}

func @other(%x: f32[4], %"a:0": f32[]) -> () {
  return %x
}

checkpoints %4, %ids
)";

TEST(TextTest, CanonicalTextIsAFixpoint) {
  const Program program = parsed(kWhole);
  EXPECT_EQ(print_text(program), kWhole);
  EXPECT_TRUE(same_program(parsed(print_text(program)), program));
}

TEST(TextTest, ProgramsHoldWhatTheTextSays) {
  const Program program = parsed(kWhole);
  ASSERT_EQ(program.functions.size(), 2U);
  const Function& main = program.functions[0];
  EXPECT_EQ(main.argument_names, (std::vector<std::string>{"ids", "a:0", "go"}));
  EXPECT_TRUE(main.values[1].is_state);
  EXPECT_EQ(main.values.size(), 18U);
  EXPECT_EQ(main.result_names[1], "7");
  const Instruction& split = main.body.instructions[3];
  EXPECT_EQ(split.opcode, Opcode::kSplit);
  EXPECT_EQ(split.results, (std::vector<ValueId>{6, 7}));
  EXPECT_EQ(split.place.line, 10);
  EXPECT_EQ(split.place.column, 3);
  const Instruction& repeat = main.body.instructions[6];
  EXPECT_EQ(repeat.regions[0].arguments, (std::vector<ValueId>{10}));
  EXPECT_EQ(repeat.results, (std::vector<ValueId>{11}));
  EXPECT_EQ(program.params[1].name, "a \"quoted\"\\\n name");
  EXPECT_EQ(program.checkpoints, (std::vector<ValueId>{4, 0}));
}

TEST(TextTest, FreeFormsHaveOneCanonicalForm) {
  const Program program = parsed(R"(
    # a comment
    bcvm 1.0 profile n1   ; another
    sym N in [1, 8]
    func @main(%x: f32[N*2 + 1 + N, floor_div(4*N + 9, 4)],
               %"y": f32[ceil_div(N, 2), (N + 1)*(N - 1)]) -> () {
      %one.half = Const [1.5, -0.25e1,
                         0x10] : f32[3]
      %again = Const [0x1.8p0, -2.5, 16] : f32[3]
      %z = LeakyRelu %x {alpha = 0.01} : f32[3*N + 1, N + 2]
      %w = Softmax %x, _, _ {axis=0, log=0} : f32[]
      return %z,
             %y
    }
  )");
  EXPECT_EQ(print_text(program), kHeader + R"(sym N in [1,8]

func @main(%x: f32[3*N + 1,N + 2], %y: f32[floor_div(N + 1, 2),N*N - 1]) -> () {
  %2 = Const [0x1.8p+0, -0x1.4p+1, 0x1p+4] : f32[3]
  %3 = Const [0x1.8p+0, -0x1.4p+1, 0x1p+4] : f32[3]
  %4 = LeakyRelu %x : f32[3*N + 1,N + 2]
  %5 = Softmax %x {axis=0} : f32[]
  return %4, %y
}
)");
  EXPECT_EQ(program.constants.size(), 1U);
}

TEST(TextTest, FindingsNamePlaceExpectedAndFound) {
  EXPECT_EQ(findings_of(""), "1:1: expected 'bcvm', found the end of the text");
  EXPECT_EQ(findings_of("bcvm 2.0 profile n1"), "1:6: version 2.0, expected 1.0 to 1.0 (V4)");
  EXPECT_EQ(findings_of("bcvm 1.00 profile n1"), "1:6: expected a version, as 1.0, found '1.00'");
  EXPECT_EQ(findings_of(in_main("%c = Rellu %a : f32[B,4]")),
            "5:6: 'Rellu' is no instruction; the nearest is Relu");
  EXPECT_EQ(findings_of(in_main("%c = Relu %x : f32[B,4]")),
            "5:11: '%x' is not defined here (V17)");
  EXPECT_EQ(findings_of(in_main("%c = Softmax %a {axes=1} : f32[B,4]")),
            "5:18: Softmax takes axis, log, found 'axes'");
  EXPECT_EQ(findings_of(in_main("%c = Softmax %a {axis=1, axis=2} : f32[B,4]")),
            "5:26: axis is given twice");
  EXPECT_EQ(findings_of(in_main("%c = Relu %a : f32[Q]")),
            "5:20: 'Q' is not a symbol of this program");
  EXPECT_EQ(findings_of(in_main("%c = Relu %a")), "5:13: expected ':', found the end of the line");
  EXPECT_EQ(findings_of(in_main("%a = Relu %a : f32[]")), "5:1: '%a' is defined twice");
  EXPECT_EQ(findings_of(in_main("%c = Const [1, 2] : f32[3]")),
            "5:1: 2 elements, expected those of f32[3] (V28)");
  EXPECT_EQ(findings_of(in_main("%c = Const [300] : u8[1]")),
            "5:13: expected an element of u8, found '300'");
  EXPECT_EQ(findings_of(in_main("%c = Const [0.1] : f16[1]")),
            "5:13: expected an element of f16, found '0.1'");
  EXPECT_EQ(findings_of(in_main("%c = Param x \"y\" : u8[1]")), "5:12: no weights are called 'x'");
  EXPECT_EQ(findings_of(in_main("%c, %d = Param w \"y\" : u8[1], u8[1]")),
            "5:1: 2 results, expected 1 (V18)");
  EXPECT_EQ(findings_of(in_main("%c = Call @gone : u8[1]")), "5:1: no function is called 'gone'");
  EXPECT_EQ(findings_of(in_main("%c = Relu %a : f32[4] %b")),
            "5:23: expected the end of the statement, found '%b'");
  EXPECT_EQ(findings_of(in_main("%c = Relu %\"a\\q\" : f32[4]")),
            "5:11: '%a\\q' is not defined here (V17)");
  EXPECT_EQ(findings_of(in_main("%c = Relu \x01 : f32[4]")),
            "5:11: expected ':', found the byte 0x01");
  EXPECT_EQ(findings_of(in_main("return %a")), "6:1: a statement after return (V20)");
  EXPECT_EQ(findings_of(in_main("%c = Clamp %a {min=-inf, max=1} : f32[B,4]")),
            "5:21: expected a finite f32 (V19), found 'inf'");
  EXPECT_EQ(findings_of(in_main("%c = Relu %a : f32[B*B*B*B*B]")).substr(0, 32),
            "5:20: a dimension overflows, div");
  EXPECT_EQ(findings_of(kHeader + "checkpoints %a\n"),
            "2:13: checkpoints come after the first function");
  EXPECT_EQ(findings_of(kHeader + "sym B in [1,2], B in [1,2]\n"), "2:17: B is declared twice");
  EXPECT_EQ(findings_of(kHeader + "func @f(%1: f32[]) -> () {\nreturn\n}\n"),
            "2:9: an argument or result has a name, which begins with a letter, or quotes");
  EXPECT_EQ(findings_of(kHeader + "func @f() -> () {\n}\n"),
            "3:1: expected return before '}' (V20)");
}

TEST(TextTest, AfterAFindingTheNextStatementIsRead) {
  EXPECT_EQ(findings_of(in_main("%c = Relu %a {oops=1} : f32[B,4]\n"
                                "%d = Relu %c : f32[B\n"
                                "%e = Repeat %d {trip=[2], more=1} (%f: f32[4]) {\n"
                                "  %g = Nothing %f : f32[4]\n"
                                "}\n"
                                "%h, = Add %e, %d : f32[B,4]\n"
                                "%i = Add %e, %nowhere : f32[B,4]")),
            "5:15: Relu takes no attributes, found 'oops'; 6:21: expected ']', found the end of "
            "the line; 7:27: Repeat takes trip, until, found 'more'; 10:5: expected a result's "
            "name, found '='; 11:14: '%nowhere' is not defined here "
            "(V17)");
  std::string many = kHeader + "func @main() -> () {\n";
  for (int i = 0; i < 100; ++i) many += "%x = Oops\n";
  std::vector<Finding> findings;
  EXPECT_FALSE(parse_text(many, &findings));
  EXPECT_EQ(findings.size(), kTextFindingsMax);
}

TEST(TextTest, RegionsSeeOutwardsOnly) {
  const std::string cond = "%c = Cond %a {\n%x = Relu %b : f32[4]\nreturn %x\n} {\nreturn ";
  parsed(in_main(cond + "%b\n} : f32[4]"));
  EXPECT_EQ(findings_of(in_main(cond + "%x\n} : f32[4]")),
            "9:8: '%x' is of a region that has ended (V17)");
  std::string deep;
  for (size_t i = 0; i <= kNestingMax; ++i) deep += "Repeat {trip=[1]} {\n";
  EXPECT_EQ(findings_of(in_main(deep + "return\n")).substr(0, 41),
            "13:19: regions nest more than 8 deep (V5)");
}

TEST(TextTest, HostileNestingIsRefused) {
  EXPECT_EQ(findings_of(in_main("%c = Relu %a : f32[" + std::string(100'000, '(') + "]")),
            "5:277: nested too deeply");
  std::string deep = "B";
  for (int i = 0; i < 100; ++i) deep = "floor_div(" + deep + " + 1, 2)";
  const Program program = parsed(in_main("%c = Relu %a : f32[" + deep + "]"));
  EXPECT_TRUE(same_program(parsed(print_text(program)), program));
}

TEST(NumberTest, FloatsPrintAsTheirShortestHex) {
  EXPECT_EQ(float_text(1.0F), "0x1p+0");
  EXPECT_EQ(float_text(-0.1F), "-0x1.99999ap-4");
  EXPECT_EQ(float_text(0.0F), "0x0p+0");
  EXPECT_EQ(float_text(1e-45F), "0x1p-149");
  EXPECT_EQ(float_text(3.402823466e38F), "0x1.fffffep+127");
  uint32_t bits = 1;
  for (int i = 0; i < 2000; ++i) {
    bits = bits * 1664525 + 1013904223;
    const auto value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    std::string text = float_text(value);
    const bool negative = text[0] == '-';
    if (negative) text.erase(0, 1);
    const std::optional<float> back = parse_float(negative, text);
    ASSERT_TRUE(back) << text;
    ASSERT_EQ(std::bit_cast<uint32_t>(*back), bits) << text;
  }
}

TEST(NumberTest, HalvesAreReadBack) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    for (uint32_t bits = 0; bits < 65536; bits += bits < 4096 || bits > 0xfb00 ? 1 : 13) {
      const auto half = static_cast<uint16_t>(bits);
      std::string text = element_text(dtype, reinterpret_cast<const char*>(&half));
      const bool is_nan = text == "nan";
      const bool negative = text[0] == '-';
      if (negative) text.erase(0, 1);
      std::string back;
      ASSERT_TRUE(append_element(dtype, negative, text, &back)) << text;
      uint16_t again = 0;
      std::memcpy(&again, back.data(), 2);
      ASSERT_EQ(again, is_nan ? (dtype == DType::kF16 ? 0x7e00 : 0x7fc0) : half) << text;
    }
  }
}

TEST(NumberTest, IntegersKeepTheirRange) {
  EXPECT_EQ(parse_integer(true, "9223372036854775808"), INT64_MIN);
  EXPECT_FALSE(parse_integer(false, "9223372036854775808"));
  EXPECT_FALSE(parse_integer(false, "1x"));
  EXPECT_FALSE(parse_float(true, "nan"));
  EXPECT_FALSE(parse_float(false, "1e39"));
  EXPECT_FALSE(parse_float(false, "0x"));
  EXPECT_FALSE(parse_float(false, "0x0x1"));
  EXPECT_EQ(parse_float(false, "0x1.8p1"), 3.0F);
}

TEST(TextTest, AThousandInstructionsAreRead) {
  std::string text = kHeader + "func @main(%x: f32[8,128]) -> () {\n";
  for (int i = 1; i <= 1000; ++i) {
    text += fmt::format("%{} = TensorMatMul %{}, %{} {{transpose_b=1}} : f32[8,128]\n", i,
                        i > 1 ? std::to_string(i - 1) : "x", i > 2 ? std::to_string(i - 2) : "x");
  }
  text += "return %1000\n}\n";
  const auto before = std::chrono::steady_clock::now();
  const Program program = parsed(text);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(program.functions[0].body.instructions.size(), 1001U);
  RecordProperty("parse_ms", std::to_string(took.count()));
}

}  // namespace
}  // namespace bcai::vm
