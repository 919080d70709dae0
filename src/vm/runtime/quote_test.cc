// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/quote.h"

#include <gtest/gtest.h>

#include "vm/generator/generator.h"
#include "vm/program/builder.h"
#include "vm/runtime/machine_samples.h"
#include "vm/text/text.h"

namespace bcai::vm {
namespace {

BoundProgram bound(std::string_view text) {
  std::vector<Finding> findings;
  std::optional<Program> program = parse_text(text, &findings);
  EXPECT_TRUE(program) << findings_text(findings);
  std::vector<ProgramFinding> refusals;
  const auto verified = verify(*std::move(program), &refusals);
  EXPECT_TRUE(verified) << findings_text(refusals);
  return *bind(*verified, {}, &refusals);
}

Result<Tensor> any_weight(const WeightFile&, const Param& param) {
  return random_tensor(param.type, 3);
}

// A profile by hand: what it estimates can be worked out.
MachineProfile by_hand() {
  std::vector<Finding> findings;
  const json::value value = {
      {"machine", "made up"},
      {"simd_level", "portable"},
      {"threads", 1},
      {"ns_per_launch", 100.0},
      {"ns_per_memory_byte", 0.5},
      {"ns_per_unit", {{"TensorMatMul", 0.25}, {"map", 1.0}, {"map Exp", 2.0}}}};
  std::optional<MachineProfile> profile = MachineProfile::decode(value, &findings);
  EXPECT_TRUE(profile) << findings_text(findings);
  EXPECT_EQ(profile->encode(), value);
  return *std::move(profile);
}

constexpr std::string_view kProgram = R"(bcvm 1.0 profile n1
weights w sha256:0000000000000000000000000000000000000000000000000000000000000001 size 1
func @main(%x: f32[16,32], %n: f32[4]) -> (%y: f32[16,64], %z: f32[4]) {
  %w = Param w "w" : f32[32,64]
  %y = TensorMatMul %x, %w : f32[16,64]
  %z = Repeat %n {trip=[3]} (%c: f32[4]) {
    %e = Exp %c : f32[4]
    return %e
  } : f32[4]
  return %y, %z
}
)";

TEST(QuoteTest, TimeIsTheSumOverLaunches) {
  const Result<Quote> made = quote(bound(kProgram), by_hand());
  ASSERT_TRUE(made) << made.error().message;
  const double product = 100 + 0.25 * (2 * 16 * 32 * 64 + 16 * 64);
  // 4 elements in, 4 out, 4 of Exp; three turns.
  const double turn = 100 + (4 + 4) * 1.0 + 4 * 2.0;
  EXPECT_GE(made->time.ns, product + 3 * turn);
  // What the plan copies into and out of the loop is not in the profile.
  const bool copies = !made->time.unknown.empty();
  if (!copies) {
    EXPECT_LE(made->time.ns, product + 3 * turn + 4 * 100);
  }
  for (const std::string& kind : made->time.unknown) EXPECT_EQ(kind, "copy");
  EXPECT_EQ(made->cost.flops, 2 * 16 * 32 * 64 + 16 * 64 + 3 * 4 * 16U);
}

TEST(QuoteTest, KindsThatWereNotMeasuredAreNamed) {
  const Result<Quote> made = quote(bound(R"(bcvm 1.0 profile n1
func @main(%x: f32[4,4]) -> (%y: f32[4,4]) {
  %y = Softmax %x {axis=1} : f32[4,4]
  return %y
}
)"),
                                   by_hand());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->time.unknown, std::vector<std::string>{"Softmax"});
}

TEST(QuoteTest, MemoryIsThatOfTheExecutable) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::vector<ProgramFinding> findings;
    const auto verified = verify(random_program(seed), &findings);
    ASSERT_TRUE(verified) << findings_text(findings);
    const BoundProgram program = *bind(*verified, {}, &findings);
    const Result<Quote> made = quote(program, by_hand());
    ASSERT_TRUE(made);
    const auto executable =
        prepare(program, any_weight, {.level = SimdLevel::kPortable, .threads = 1});
    ASSERT_TRUE(executable);
    EXPECT_EQ(made->memory.total(), (*executable)->footprint().total()) << seed;
  }
  const BoundProgram product = bound(kProgram);
  const Result<Quote> made = quote(product, by_hand());
  const auto executable =
      prepare(product, any_weight, {.level = SimdLevel::kPortable, .threads = 1});
  EXPECT_EQ(made->memory.packed, (*executable)->footprint().packed);
  EXPECT_GE(made->memory.packed, 32 * 64 * 4);
  EXPECT_EQ(made->memory.weights, 0);
  EXPECT_EQ(made->memory.inputs, 16 * 32 * 4 + 4 * 4);
  EXPECT_EQ(made->memory.results, 16 * 64 * 4 + 4 * 4);
}

TEST(QuoteTest, EachSampleIsAProgramWithALaunchOfItsInstruction) {
  for (const MachineSample& sample : machine_samples()) {
    const std::string text = sample_text(sample);
    const Result<Plan> plan = compile(bound(text));
    ASSERT_TRUE(plan) << text;
    const std::string name(sample.instruction.substr(0, sample.instruction.find(' ')));
    EXPECT_NE(explain(*plan).find(name), std::string::npos) << text;
  }
}

TEST(QuoteTest, AProfileThatIsNoneIsRefusedWithAllFindings) {
  std::vector<Finding> findings;
  const json::value value = {{"machine", 3}, {"simd_level", "avx3"}, {"ns_per_launch", -1}};
  EXPECT_FALSE(MachineProfile::decode(value, &findings));
  const std::string text = findings_text(findings);
  for (const char* place : {"/machine", "/simd_level", "/ns_per_launch", "/ns_per_memory_byte",
                            "/ns_per_unit", "/threads"}) {
    EXPECT_NE(text.find(place), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace bcai::vm
