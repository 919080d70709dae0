// SPDX-License-Identifier: Apache-2.0
// The passes over a bound program. Each keeps the bits of all results and checkpoints, and traps.
// All but inline_calls look at main alone, so it comes first.
#pragma once

#include "base/result.h"
#include "vm/program/program.h"

namespace bcai::vm {

inline constexpr size_t kInlinedInstructionsMax = size_t{1} << 20;

// Main without calls, and no other function.
Result<Program> inline_calls(const Program& program);

// Without instructions that change nothing: a Reshape to the same shape, a Cast to the same type, a
// Slice of the whole. A Reshape of a Reshape becomes one.
Program remove_identities(const Program& program);

// A parameter of f16 or bf16 that is cast to f32 becomes a parameter of f32, whose values are
// widened once, when it is loaded: widening is exact. Each such cast makes one: remove_duplicates
// comes before.
Program widen_params(const Program& program);

// One of equal instructions that have equal operands.
Program remove_duplicates(const Program& program);

// A transposed operand of a matmul becomes its transpose_a or transpose_b.
Program fold_transposes(const Program& program);

// A bias and an activation behind a matmul or convolution become part of it.
Program fold_epilogues(const Program& program);

// Without instructions whose results nobody uses and which cannot trap.
Program remove_dead_code(const Program& program);

// Whether data may end the run in this instruction, or in one of its regions.
bool may_trap(const Instruction& instruction);

}  // namespace bcai::vm
