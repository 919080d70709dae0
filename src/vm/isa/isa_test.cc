// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "vm/isa/choices.h"
#include "vm/isa/instruction.h"

namespace bcai::vm {
namespace {

const std::vector<Symbol> kSymbols = {{"B", 1, 32, 1}, {"S", 1, 512, 8}};
const Dim kB = Dim::symbol(0);
const Dim kS = Dim::symbol(1);

TEST(DimTest, EqualPolynomialsHaveOneForm) {
  EXPECT_EQ((kB + Dim(1)) * (kS + Dim(2)), kS * kB + kS + kB * Dim(2) + Dim(2));
  EXPECT_EQ(kB - kB, Dim(0));
  EXPECT_EQ(floor_div(kS * Dim(6) + kB + Dim(7), 3),
            kS * Dim(2) + floor_div(kB + Dim(1), 3) + Dim(2));
  EXPECT_EQ(ceil_div(kS, 2), floor_div(kS + Dim(1), 2));
  EXPECT_FALSE(kB == kS);
  EXPECT_EQ(to_text(kS * kB * Dim(2) + Dim(-3), kSymbols), "2*B*S - 3");
  EXPECT_EQ(to_text(Dim(1) - kS, kSymbols), "-S + 1");
}

TEST(DimTest, FloorDivisionRoundsDown) {
  EXPECT_EQ(floor_div(Dim(-1), 2), Dim(-1));
  EXPECT_EQ(floor_div(Dim(7), 2), Dim(3));
  EXPECT_EQ(ceil_div(Dim(7), 2), Dim(4));
  const std::vector<int64_t> values = {3, 16};
  EXPECT_EQ(floor_div(kS - kB, 5).bind(values), Dim(2));
}

TEST(DimTest, OverflowIsInvalidAndStaysSo) {
  const Dim big(INT64_MAX);
  EXPECT_FALSE((big + Dim(1)).valid());
  EXPECT_FALSE((big * Dim(2) - big).valid());
  EXPECT_FALSE((kB * big * Dim(2)).valid());
  EXPECT_FALSE((kB * kB * kB * kB * kB).valid());
  EXPECT_FALSE(floor_div(kB, 0).valid());
  EXPECT_FALSE(Dim::invalid() == Dim::invalid());
  EXPECT_FALSE((kB * Dim(INT64_MAX)).bind(std::vector<int64_t>{2, 2}).valid());
}

TEST(DimTest, TheSmallestConstantDivides) {
  EXPECT_EQ(floor_div(kB * Dim(2) + Dim(INT64_MIN), 3),
            floor_div(kB * Dim(2) + Dim(1), 3) + Dim(INT64_MIN / 3 - 1));
}

TEST(DimTest, NestingIsBounded) {
  Dim dim = kB;
  for (int i = 0; i < 40; ++i) {
    const Dim quotient = floor_div(dim + Dim(1), 2);
    dim = quotient * quotient + quotient + kS;
  }
  EXPECT_FALSE(dim.valid());
  Dim halved = kS;
  for (int i = 0; i < 200; ++i) halved = floor_div(halved + Dim(1), 2) + Dim(1);
  EXPECT_TRUE(halved.valid());
}

TEST(DimTest, BoundsHoldForEveryBinding) {
  const Dim dim = floor_div(kS * Dim(3) - kB, 4) - kB * Dim(2);
  const auto bounds = dim.bounds(kSymbols);
  ASSERT_TRUE(bounds);
  for (int64_t b = 1; b <= 32; ++b) {
    for (int64_t s = 1; s <= 512; ++s) {
      const int64_t value = dim.bind(std::vector<int64_t>{b, s}).value();
      ASSERT_GE(value, bounds->min);
      ASSERT_LE(value, bounds->max);
    }
  }
}

TEST(InstructionTest, TheTableIsConsistent) {
  std::set<Opcode> codes;
  std::set<std::string_view> names;
  for (const InstructionInfo& info : instructions()) {
    EXPECT_TRUE(codes.insert(info.opcode).second) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(find_instruction(info.name), &info);
    EXPECT_EQ(find_instruction(info.opcode), &info);
    EXPECT_FALSE(info.summary.empty());
    std::set<Attr> attributes;
    for (const AttributeSpec& spec : *info.attributes) {
      EXPECT_TRUE(attributes.insert(spec.attribute).second) << info.name;
    }
  }
}

// The result types, or the refusals as "V12: …".
std::string infer(Opcode opcode, std::vector<Type> operands, Attributes attributes = {},
                  std::vector<Type> stated = {}) {
  std::vector<const Type*> pointers;
  for (const Type& type : operands) pointers.push_back(&type);
  Judgement judgement(kSymbols);
  const std::vector<Type> types = infer_types({opcode, pointers, attributes, stated}, judgement);
  std::string text;
  for (const Type& type : types) {
    text += (text.empty() ? "" : " ") + to_text(type, judgement.symbols());
  }
  for (const Refusal& refusal : judgement.refusals()) {
    text += fmt::format("{}: {}; ", refusal.rule, refusal.message);
  }
  return text;
}
Type f32(Shape shape) { return {DType::kF32, shape}; }
Attributes with(std::initializer_list<Attributes::Entry> entries) {
  Attributes attributes;
  for (const auto& entry : entries) attributes.set(entry.attribute, entry.value);
  return attributes;
}

TEST(InstructionTest, ResultTypesFollowTheRules) {
  EXPECT_EQ(infer(Opcode::kAdd, {f32({kB, kS, 1}), f32({768})}), "f32[B,S,768]");
  EXPECT_EQ(infer(Opcode::kTensorMatMul, {f32({kB, kS, 768}), f32({768, 64}), f32({64})}),
            "f32[B,S,64]");
  EXPECT_EQ(infer(Opcode::kReshape, {f32({kB, kS, 768})}, {}, {f32({kB * kS, 12, 64})}),
            "f32[B*S,12,64]");
  EXPECT_EQ(infer(Opcode::kConvolutionForward, {f32({kB, 3, 224, 224}), f32({64, 3, 7, 7})},
                  with({{Attr::kStrides, std::vector<int64_t>{2, 2}},
                        {Attr::kPadsLow, std::vector<int64_t>{3, 3}},
                        {Attr::kPadsHigh, std::vector<int64_t>{3, 3}}})),
            "f32[B,64,112,112]");
  EXPECT_EQ(infer(Opcode::kTransformerAttention,
                  {f32({kB, kS, 768}), f32({kB, kS, 768}), f32({kB, kS, 768})},
                  with({{Attr::kHeads, int64_t{12}}, {Attr::kScale, 0.125F}})),
            "f32[B,S,768]");
  EXPECT_EQ(infer(Opcode::kArgMax, {f32({kB, kS, 10})}, with({{Attr::kAxis, int64_t{2}}})),
            "i64[B,S]");
  EXPECT_EQ(infer(Opcode::kLSTM, {f32({kS, kB, 128}), f32({1, 512, 128}), f32({1, 512, 128})},
                  with({{Attr::kHiddenSize, int64_t{128}}})),
            "f32[S,1,B,128] f32[1,B,128] f32[1,B,128]");
}

TEST(InstructionTest, RefusalsNameRuleExpectedAndFound) {
  EXPECT_EQ(infer(Opcode::kAdd, {f32({kB, 4}), f32({kS, 4})}),
            "V11: [B,4] and [S,4] do not broadcast: axis 0 has B and S; ");
  EXPECT_EQ(infer(Opcode::kTensorMatMul, {f32({2, 3}), f32({4, 5})}),
            "V12: a has 3 columns, b has 4 rows; ");
  EXPECT_EQ(infer(Opcode::kExp, {{DType::kI32, {2}}}), "V26: operand 0 (x) is i32, expected f32; ");
  EXPECT_EQ(infer(Opcode::kRelu, {}), "V17: 0 operands, expected 1 to 1; ");
  EXPECT_EQ(infer(Opcode::kRelu, {f32({2})}, with({{Attr::kAxis, int64_t{1}}})),
            "V19: takes no axis; ");
  EXPECT_EQ(infer(Opcode::kSoftmax, {f32({2})}), "V19: axis is missing; ");
  EXPECT_EQ(infer(Opcode::kIota, {}, with({{Attr::kAxis, int64_t{0}}}), {f32({2})}),
            "V3: axis has its default value, which is left out; ");
  EXPECT_EQ(infer(Opcode::kBroadcast, {f32({1})}, {}, {f32({kDimMax, kDimMax, kDimMax})}),
            "V7: f32[2147483647,2147483647,2147483647] may exceed 274877906944 elements or "
            "1099511627776 bytes; ");
}

TEST(InstructionTest, GasIsArithmeticOrElseBytes) {
  const Type a = f32({128, 784});
  const Type b = f32({784, 10});
  const std::vector<const Type*> operands = {&a, &b};
  const std::vector<Type> product = {f32({128, 10})};
  const Attributes none;
  EXPECT_EQ(gas_of({Opcode::kTensorMatMul, operands, none, {}}, product),
            2U * 128 * 784 * 10 + 128 * 10);
  const std::vector<const Type*> one = {&a};
  const std::vector<Type> turned = {f32({784, 128})};
  const Attributes permutation = with({{Attr::kPermutation, std::vector<int64_t>{1, 0}}});
  EXPECT_EQ(gas_of({Opcode::kTranspose, one, permutation, {}}, turned), 2U * 4 * 128 * 784);
  EXPECT_EQ(gas_of({Opcode::kReshape, one, none, turned}, turned), 1U);
}

}  // namespace
}  // namespace bcai::vm
