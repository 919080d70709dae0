// SPDX-License-Identifier: Apache-2.0
// The wide tests are in tests/vm, against numpy and PyTorch; here is what they cannot see.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "vm/backend/reference/convert.h"
#include "vm/backend/reference/interpreter.h"
#include "vm/backend/reference/step.h"
#include "vm/backend/reference/sum.h"
#include "vm/program/builder.h"

namespace bcai::vm::reference {
namespace {

TEST(ReferenceTest, EveryInstructionHasAMeaning) {
  for (const InstructionInfo& info : instructions()) {
    const bool elsewhere = info.instruction_class->infer == nullptr ||
                           info.opcode == Opcode::kParam || info.opcode == Opcode::kConst;
    EXPECT_EQ(kernel_of(info.opcode) != nullptr, !elsewhere) << info.name;
  }
}

// Rule R4 by hand: 17 terms, lane 0 holds two of them.
TEST(ReferenceTest, SumsFollowTheTree) {
  std::vector<float> terms(17, 0.0F);
  terms[0] = 0x1p24F;
  terms[8] = 1;   // meets lane 0 at the first step of the tree
  terms[16] = 1;  // is added to lane 0 before
  EXPECT_EQ(sum_r4(terms), 0x1p24F);
  terms[16] = 2;
  EXPECT_EQ(sum_r4(terms), 0x1p24F + 4);  // 2^24 + 2, then the tie goes to even
  std::vector<float> ones(10'000, 1.0F);
  EXPECT_EQ(sum_r4(ones), 10'000.0F);
  EXPECT_EQ(sum_r4(std::vector<float>()), 0.0F);
}

TEST(ReferenceTest, HalfPrecisionRoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float wide = widen_f16(half);
    if (!std::isnan(wide)) {
      EXPECT_EQ(narrow_f16(wide), half);
    }
    const float brain = widen_bf16(half);
    if (!std::isnan(brain)) {
      EXPECT_EQ(narrow_bf16(brain), half);
    }
  }
  EXPECT_EQ(narrow_f16(65519.9F), 0x7bff);
  EXPECT_EQ(narrow_f16(65520.0F), 0x7c00);
  EXPECT_EQ(narrow_f16(0x1p-25F), 0x0000);  // a tie goes to even
  EXPECT_EQ(narrow_f16(0x1.8p-25F), 0x0001);
  EXPECT_EQ(narrow_f16(1.0F + 0x1p-11F), 0x3c00);  // a tie
  EXPECT_EQ(narrow_f16(1.0F + 0x1.8p-11F), 0x3c01);
  EXPECT_EQ(narrow_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

Result<std::vector<Tensor>> run_program(Program program, std::vector<Tensor> inputs) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(std::move(program), &findings);
  EXPECT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  EXPECT_TRUE(bound) << findings_text(findings);
  return run(*bound, inputs, {});
}

TEST(ReferenceTest, AnIndexOutsideIsATrapThatSaysWhich) {
  Builder builder;
  const ValueId x = builder.argument("x", {DType::kF32, {4, 2}});
  const ValueId indices = builder.argument("i", {DType::kI64, {3}});
  const ValueId y = builder.add(Opcode::kEmbeddingLookup, {x, indices});
  Tensor index(DType::kI64, {3});
  index.data<int64_t>()[1] = 4;
  const auto result =
      run_program(*builder.finish({{"y", y}}), {Tensor(DType::kF32, {4, 2}), index});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "EmbeddingLookup: index 4 at element 1 is outside 0 to 3");
}

TEST(ReferenceTest, CastSaturatesAndTruncates) {
  Builder builder;
  const ValueId x = builder.argument("x", {DType::kF32, {7}});
  const ValueId y = builder.add_stated(Opcode::kCast, {x}, {DType::kI8, {7}});
  Tensor values(DType::kF32, {7});
  const float inf = std::numeric_limits<float>::infinity();
  const float in[7] = {-1.9F, 1.9F, 127.5F, 1e30F, -inf, std::nanf(""), -128.9F};
  std::copy(in, in + 7, values.data<float>());
  const auto result = run_program(*builder.finish({{"y", y}}), {values});
  ASSERT_TRUE(result);
  const int8_t expected[7] = {-1, 1, 127, 127, -128, 0, -128};
  for (int i = 0; i < 7; ++i) EXPECT_EQ((*result)[0].data<int8_t>()[i], expected[i]) << i;
}

}  // namespace
}  // namespace bcai::vm::reference
