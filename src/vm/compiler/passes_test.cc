// SPDX-License-Identifier: Apache-2.0
// Each pass, on random programs: what it makes is a valid program with the bits and the traps of
// what it was given.
#include "vm/compiler/passes.h"

#include <gtest/gtest.h>

#include <cstring>

#include "vm/backend/reference/interpreter.h"
#include "vm/generator/generator.h"
#include "vm/isa/choices.h"
#include "vm/program/builder.h"
#include "vm/verify/verifier.h"

namespace bcai::vm {
namespace {

constexpr uint64_t kPrograms = 60;

using Pass = Program (*)(const Program&);

Program inlined(const Program& program) {
  Result<Program> result = inline_calls(program);
  EXPECT_TRUE(result);
  return *std::move(result);
}

Result<Tensor> weight(const WeightFile&, const Param& param) {
  return random_tensor(param.type, std::hash<std::string>()(param.name));
}

Result<std::vector<Tensor>> run(Program program, uint64_t seed) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(std::move(program), &findings);
  EXPECT_TRUE(verified) << "seed " << seed << "\n" << findings_text(findings);
  if (!verified) return error(ErrorCode::kInternal, "not valid");
  const auto bound = bind(*verified, {}, &findings);
  EXPECT_TRUE(bound) << findings_text(findings);
  return reference::run(*bound, random_inputs(bound->program(), seed), weight);
}

void expect_same(const Result<std::vector<Tensor>>& a, const Result<std::vector<Tensor>>& b,
                 uint64_t seed) {
  ASSERT_EQ(a.has_value(), b.has_value()) << "seed " << seed;
  if (!a) {
    EXPECT_EQ(a.error().message, b.error().message);
    return;
  }
  ASSERT_EQ(a->size(), b->size());
  for (size_t i = 0; i < a->size(); ++i) {
    EXPECT_TRUE((*a)[i].type() == (*b)[i].type());
    const auto x = (*a)[i].bytes();
    const auto y = (*b)[i].bytes();
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin(), y.end()))
        << "seed " << seed << ", result " << i;
  }
}

void check_pass(Pass pass, bool inline_first) {
  for (uint64_t seed = 1; seed <= kPrograms; ++seed) {
    Program before = random_program(seed);
    if (inline_first) before = inlined(before);
    Program after = pass(before);
    const auto expected = run(std::move(before), seed);
    expect_same(expected, run(std::move(after), seed), seed);
  }
}

TEST(PassesTest, InlineCalls) { check_pass(inlined, false); }
TEST(PassesTest, RemoveIdentities) { check_pass(remove_identities, true); }
TEST(PassesTest, RemoveDuplicates) { check_pass(remove_duplicates, true); }
TEST(PassesTest, FoldTransposes) { check_pass(fold_transposes, true); }
TEST(PassesTest, FoldEpilogues) { check_pass(fold_epilogues, true); }
TEST(PassesTest, RemoveDeadCode) { check_pass(remove_dead_code, true); }

std::vector<Opcode> opcodes(const Program& program) {
  std::vector<Opcode> list;
  for (const Instruction& instruction : program.functions[0].body.instructions) {
    list.push_back(instruction.opcode);
  }
  return list;
}

// transpose, matmul, + bias [1,N], gelu: one instruction and a view are left.
TEST(PassesTest, AProductTakesItsTransposeBiasAndActivation) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {4, 8}});
  const ValueId w = b.argument("w", {DType::kF32, {6, 8}});
  const ValueId bias = b.argument("bias", {DType::kF32, {1, 6}});
  Attributes swap;
  swap.set(Attr::kPermutation, std::vector<int64_t>{1, 0});
  const ValueId product = b.add(Opcode::kTensorMatMul, {x, b.add(Opcode::kTranspose, {w}, swap)});
  const ValueId y = b.add(Opcode::kGelu, {b.add(Opcode::kAdd, {product, bias})});
  Program program = *b.finish({{"y", y}});
  const auto expected = run(program, 7);
  program = remove_dead_code(fold_epilogues(fold_transposes(program)));
  EXPECT_EQ(opcodes(program),
            (std::vector{Opcode::kReshape, Opcode::kTensorMatMul, Opcode::kReturn}));
  const Instruction& fused = program.functions[0].body.instructions[1];
  EXPECT_NE(fused.attributes.find(Attr::kTransposeB), nullptr);
  EXPECT_EQ(std::get<int64_t>(*fused.attributes.find(Attr::kActivation)),
            static_cast<int64_t>(Activation::kGeluErf));
  expect_same(expected, run(program, 7), 7);
}

TEST(PassesTest, WhatMayTrapStays) {
  Builder b;
  const ValueId table = b.argument("table", {DType::kF32, {4, 2}});
  const ValueId index = b.argument("i", {DType::kI64, {3}});
  b.add(Opcode::kEmbeddingLookup, {table, index});
  b.add(Opcode::kNeg, {table});
  const Program program = remove_dead_code(*b.finish({{"table", table}}));
  EXPECT_EQ(opcodes(program), (std::vector{Opcode::kEmbeddingLookup, Opcode::kReturn}));
}

}  // namespace
}  // namespace bcai::vm
