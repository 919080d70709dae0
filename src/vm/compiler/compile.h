// SPDX-License-Identifier: Apache-2.0
// From a bound program to a plan: passes that rewrite the program, then launches, fused where the
// bits stay the same, then places in memory, which a checker that shares no code with the planner
// has accepted (rule V29). No pass changes a bit of a result or of a checkpoint, nor whether the
// program traps. Deterministic; knows no device.
#pragma once

#include "base/result.h"
#include "vm/plan/plan.h"
#include "vm/verify/verifier.h"

namespace bcai::vm {

struct CompileOptions {
  // What may be left out, to find what a pass does.
  bool rewrite = true;  // the passes of passes.h
  bool fuse = true;     // several instructions in one launch
  // For runs that nobody asks for checkpoints: they are values like others, which share memory.
  bool checkpoints = true;
};

// kResourceExhausted when calls, inlined, make more than kInlinedInstructionsMax instructions.
Result<Plan> compile(const BoundProgram& program, const CompileOptions& options = {});

}  // namespace bcai::vm
