// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "vm/program/builder.h"
#include "vm/verify/cost.h"
#include "vm/verify/verifier.h"

namespace bcai::vm {
namespace {

Attributes with(std::initializer_list<Attributes::Entry> entries) {
  Attributes attributes;
  for (const auto& entry : entries) attributes.set(entry.attribute, entry.value);
  return attributes;
}

// f32[B,S,64] · f32[64,10], softmax.
Program small_program() {
  Builder builder;
  const Dim b = builder.symbol({"B", 1, 32, 1});
  const Dim s = builder.symbol({"S", 1, 512, 1});
  const ValueId x = builder.argument("x", {DType::kF32, {b, s, 64}});
  const uint32_t file = builder.file({"model", Sha256::of("model"), 2560});
  const ValueId w = builder.param(file, "w", {DType::kF32, {64, 10}});
  const ValueId y = builder.add(Opcode::kTensorMatMul, {x, w});
  const ValueId p = builder.add(Opcode::kSoftmax, {y}, with({{Attr::kAxis, int64_t{2}}}));
  return *builder.finish({{"p", p}});
}

std::string refusals(Program program) {
  std::vector<ProgramFinding> findings;
  const bool accepted = verify(std::move(program), &findings).has_value();
  EXPECT_EQ(accepted, findings.empty());
  return findings_text(findings);
}

TEST(VerifyTest, ABuiltProgramIsAcceptedAndBinds) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(small_program(), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {{"B", 2}, {"S", 16}}, &findings);
  ASSERT_TRUE(bound) << findings_text(findings);
  const auto cost = cost_of(*bound);
  ASSERT_TRUE(cost);
  const uint64_t rows = 2 * 16;
  EXPECT_EQ(cost->flops, rows * (2 * 64 * 10 + 10) + rows * 10 * 20);
  EXPECT_EQ(cost->weight_bytes, 2560U);
  EXPECT_EQ(cost->gas, cost->flops + 1);  // and 1 for the Param
}

TEST(VerifyTest, BindingIsChecked) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(small_program(), &findings);
  EXPECT_FALSE(bind(*verified, {{"B", 33}, {"T", 1}}, &findings));
  EXPECT_EQ(findings_text(findings),
            "V7: symbol B: is 33, expected 1 to 32 in multiples of 1\n"
            "V7: symbol S: has no value, expected 1 to 512\n"
            "V7: symbol T: is given 1, but is unknown");
}

TEST(VerifyTest, ShapesGiveTheBinding) {
  const Program program = small_program();
  std::vector<ProgramFinding> findings;
  const auto binding = binding_of_shapes(program, {{3, 7, 64}}, &findings);
  ASSERT_TRUE(binding);
  EXPECT_EQ(*binding, (Binding{{"B", 3}, {"S", 7}}));
  EXPECT_FALSE(binding_of_shapes(program, {{3, 7, 65}}, &findings));
  EXPECT_EQ(findings_text(findings), "V20: input x: [3,7,65], expected [B,S,64]");
}

TEST(VerifyTest, MainReturnsAsManyResultsAsItHas) {
  Builder builder;
  std::vector<std::pair<std::string, ValueId>> results;
  for (int i = 0; i < 100; ++i) {
    const std::string name = fmt::format("x{}", i);
    results.emplace_back(name, builder.argument(name, {DType::kF32, {4}, true}));
  }
  EXPECT_EQ(refusals(*builder.finish(results)), "");
}

TEST(VerifyTest, AMultipleOfASymbolGivesItsBinding) {
  Builder builder;
  const Dim h = builder.symbol({"H", 1, 30, 1});
  const ValueId x = builder.argument("x", {DType::kF32, {Dim(32) * h}});
  const Program program = *builder.finish({{"x", x}});
  std::vector<ProgramFinding> findings;
  EXPECT_EQ(binding_of_shapes(program, {{96}}, &findings), (Binding{{"H", 3}}));
  EXPECT_FALSE(binding_of_shapes(program, {{97}}, &findings));
  EXPECT_EQ(findings_text(findings), "V20: input x: [97], expected [32*H]");
}

TEST(VerifyTest, EveryFindingIsThere) {
  Program program = small_program();
  Function& main = program.functions[0];
  main.values[2].shape = {1, 2, 3};           // the product's stated type
  main.body.instructions[2].operands[0] = 9;  // Softmax of nothing
  program.params[0].file = 4;
  program.minor = 9;
  EXPECT_EQ(
      refusals(program),
      "V4: the program: format 1.9, this build reads 1.0 to 1.0\n"
      "V27: parameter w: weight file 4 of 1\n"
      "V18: main, instruction 1 (TensorMatMul): result 0 is f32[1,2,3], expected f32[B,S,10]\n"
      "V17: main, instruction 2 (Softmax): operand 9 is not defined here");
}

// A program of one function, whose body the test writes.
struct Raw {
  Program program;
  Function& main() { return program.functions[0]; }
  Raw() {
    program.functions.emplace_back();
    main().name = "main";
  }
  ValueId value(Type type) {
    main().values.push_back(std::move(type));
    return static_cast<ValueId>(main().values.size() - 1);
  }
};
Instruction make(Opcode opcode, std::vector<ValueId> operands, std::vector<ValueId> results = {},
                 Attributes attributes = {}) {
  Instruction instruction;
  instruction.opcode = opcode;
  instruction.operands = std::move(operands);
  instruction.results = std::move(results);
  instruction.attributes = std::move(attributes);
  return instruction;
}

Raw repeat_program(Dim trip) {
  Raw raw;
  const Type type{DType::kF32, {4}};
  const ValueId x = raw.value(type);
  const ValueId carried = raw.value(type);
  const ValueId next = raw.value(type);
  const ValueId last = raw.value(type);
  raw.main().argument_names = {"x"};
  raw.main().body.arguments = {x};
  Instruction repeat =
      make(Opcode::kRepeat, {x}, {last}, with({{Attr::kTrip, std::vector<Dim>{trip}}}));
  repeat.regions.emplace_back();
  repeat.regions[0].arguments = {carried};
  repeat.regions[0].instructions = {make(Opcode::kAdd, {carried, x}, {next}),
                                    make(Opcode::kReturn, {next})};
  raw.main().body.instructions = {repeat, make(Opcode::kReturn, {last})};
  raw.main().result_names = {"y"};
  raw.main().result_types = {type};
  return raw;
}

TEST(VerifyTest, RepeatCostsItsTrips) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(repeat_program(Dim(100)).program, &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  ASSERT_TRUE(bound);
  EXPECT_EQ(cost_of(*bound)->flops, 400U);
  EXPECT_EQ(cost_of(*bound)->instructions, 201U);
  EXPECT_EQ(cost_of(*bound)->gas, 501U);
}

TEST(VerifyTest, EmptyTripsCostSomethingAndEnd) {
  Raw raw = repeat_program(Dim(1 << 20));
  Region& body = raw.main().body.instructions[0].regions[0];
  body.instructions = {make(Opcode::kReturn, {1})};
  raw.main().body.instructions[1].operands = {2};
  raw.main().body.instructions[0].results = {2};
  raw.main().values.pop_back();
  std::vector<ProgramFinding> findings;
  const auto verified = verify(raw.program, &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  EXPECT_EQ(cost_of(*bind(*verified, {}, &findings))->gas, (uint64_t{1} << 20) + 1);

  // 2^20 times 2^21 of them.
  Instruction& outer = raw.main().body.instructions[0];
  Instruction inner = outer;
  inner.operands = {1};
  inner.regions[0].arguments = {2};
  inner.regions[0].instructions = {make(Opcode::kReturn, {2})};
  inner.results = {3};
  inner.attributes = with({{Attr::kTrip, std::vector<Dim>{Dim(1 << 21)}}});
  outer.regions[0].instructions = {inner, make(Opcode::kReturn, {3})};
  outer.results = {4};
  raw.main().body.instructions[1].operands = {4};
  raw.main().values.resize(5, {DType::kF32, {4}});
  const auto nested = verify(raw.program, &findings);
  ASSERT_TRUE(nested) << findings_text(findings);
  EXPECT_FALSE(bind(*nested, {}, &findings));
  EXPECT_EQ(findings_text(findings),
            "V30: main: gas overflows, or more than 1099511627776 instructions would run");
}

TEST(VerifyTest, GiganticTripCountsAreRefused) {
  Raw raw = repeat_program(Dim(kDimMax));
  Instruction& outer = raw.main().body.instructions[0];
  // Four levels of 2^31 trips each.
  for (int level = 0; level < 3; ++level) {
    Instruction inner = outer;
    outer.regions[0].instructions = {inner, make(Opcode::kReturn, {2})};
  }
  std::vector<ProgramFinding> findings;
  const auto verified = verify(raw.program, &findings);
  if (verified) {
    EXPECT_FALSE(bind(*verified, {}, &findings));
  }
  EXPECT_FALSE(findings.empty());

  Raw flat = repeat_program(Dim(kDimMax) * Dim(kDimMax));
  EXPECT_EQ(refusals(flat.program),
            "V7: main, instruction 0 (Repeat): trip has 4611686014132420609, expected 0 to "
            "2147483647");
}

TEST(VerifyTest, ValuesOfARegionEndWithIt) {
  Raw raw = repeat_program(Dim(2));
  raw.main().body.instructions[1].operands = {2};
  EXPECT_EQ(refusals(raw.program),
            "V17: main, instruction 3 (Return): operand 2 is not defined here");
}

TEST(VerifyTest, StatesAreUsedExactlyOnce) {
  Raw raw;
  const Type state{DType::kF32, {1, 8, 4}, true};
  const ValueId cache = raw.value(state);
  const ValueId x = raw.value({DType::kF32, {1, 2, 4}});
  const ValueId position = raw.value({DType::kI32, {}});
  const ValueId first = raw.value(state);
  const ValueId second = raw.value(state);
  raw.main().argument_names = {"cache", "x", "position"};
  raw.main().body.arguments = {cache, x, position};
  raw.main().body.instructions = {make(Opcode::kKVCacheAppend, {cache, x, position}, {first}),
                                  make(Opcode::kKVCacheAppend, {cache, x, position}, {second}),
                                  make(Opcode::kReturn, {second})};
  raw.main().result_names = {"cache"};
  raw.main().result_types = {state};
  EXPECT_EQ(refusals(raw.program),
            "V23: main, instruction 1 (KVCacheAppend): state 0 was used before");
  raw.main().body.instructions[1].operands[0] = first;
  EXPECT_EQ(refusals(raw.program), "");
  raw.main().result_names.clear();
  raw.main().result_types.clear();
  raw.main().body.instructions[2].operands.clear();
  EXPECT_EQ(refusals(raw.program), "V23: main: state 4 is dropped");
}

TEST(VerifyTest, CallsFormNoCycle) {
  Raw raw;
  raw.main().body.instructions = {make(Opcode::kCall, {}), make(Opcode::kReturn, {})};
  EXPECT_EQ(refusals(raw.program), "V20: main: calls function 0, but may call only later ones");
}

TEST(VerifyTest, ConstantsAreCanonical) {
  Raw raw;
  raw.program.constants = {{{DType::kF32, {1}}, std::string("\x01\x00\xc0\x7f", 4)},
                           {{DType::kBool, {1}}, "\x02"},
                           {{DType::kI64, {2}}, "short"}};
  raw.main().body.instructions = {make(Opcode::kReturn, {})};
  EXPECT_EQ(refusals(raw.program),
            "V28: constant 0: a NaN is not 0x7fc00000, or a bool is neither 0 nor 1\n"
            "V28: constant 1: a NaN is not 0x7fc00000, or a bool is neither 0 nor 1\n"
            "V28: constant 2: 5 bytes for i64[2]");
}

TEST(VerifyTest, LongProgramsAreAccepted) {
  Builder builder;
  const Dim b = builder.symbol({"B", 1, 32, 1});
  ValueId x = builder.argument("x", {DType::kF32, {b, 64}});
  for (int i = 0; i < 1000; ++i) x = builder.add(Opcode::kRelu, {x});
  Program program = *builder.finish({{"y", x}});
  std::vector<ProgramFinding> findings;
  EXPECT_TRUE(verify(std::move(program), &findings));
}

}  // namespace
}  // namespace bcai::vm
