// SPDX-License-Identifier: Apache-2.0
#include "vm/generator/generator.h"

#include <gtest/gtest.h>

#include <set>

namespace bcai::vm {
namespace {

void collect(const Region& region, std::set<Opcode>& seen) {
  for (const Instruction& instruction : region.instructions) {
    seen.insert(instruction.opcode);
    for (const Region& inner : instruction.regions) collect(inner, seen);
  }
}

TEST(GeneratorTest, EveryInstructionComesUp) {
  std::set<Opcode> seen;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    for (const Function& function : random_program(seed).functions) collect(function.body, seen);
  }
  for (const InstructionInfo& info : instructions()) {
    EXPECT_EQ(seen.count(info.opcode), 1U) << info.name;
  }
}

TEST(GeneratorTest, ASeedIsAProgram) {
  const Program a = random_program(5);
  const Program b = random_program(5);
  ASSERT_EQ(a.functions.size(), b.functions.size());
  EXPECT_TRUE(a.functions[0].values == b.functions[0].values);
}

}  // namespace
}  // namespace bcai::vm
