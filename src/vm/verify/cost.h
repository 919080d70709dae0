// SPDX-License-Identifier: Apache-2.0
// What a bound program costs, counted on the program as written: no optimisation changes it.
#pragma once

#include <cstdint>
#include <optional>

#include "vm/verify/verifier.h"

namespace bcai::vm {

struct Cost {
  uint64_t flops = 0;
  uint64_t bytes = 0;         // read and written by all instructions
  uint64_t gas = 0;           // what is charged
  uint64_t instructions = 0;  // executed, at most
  uint64_t weight_bytes = 0;  // of the parameters, each once
};

// Rule V5: instructions executed, at most.
inline constexpr uint64_t kInstructionsExecutedMax = uint64_t{1} << 40;

// A Cond counts its dearer region, a Repeat its trip times its region. Absent on overflow: `verify`
// refuses such programs, so only for programs it has not seen bound.
std::optional<Cost> cost_of(const BoundProgram& program);

}  // namespace bcai::vm
