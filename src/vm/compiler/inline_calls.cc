// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {

Result<Program> inline_calls(const Program& program) {
  Rewriter rewriter(program, [&](Rewriter& r, const Instruction& old) {
    // Past the limit nothing is expanded: the result is thrown away.
    if (old.opcode != Opcode::kCall || r.emitted() > kInlinedInstructionsMax) return false;
    const std::vector<ValueId> results =
        r.splice(program.functions[old.reference], r.now(old.operands));
    for (size_t i = 0; i < results.size(); ++i) r.set(old.results[i], results[i]);
    return true;
  });
  Program result = rewriter.run();
  if (rewriter.emitted() > kInlinedInstructionsMax) {
    return error(ErrorCode::kResourceExhausted, "calls make more than {} instructions",
                 kInlinedInstructionsMax);
  }
  return result;
}

}  // namespace bcai::vm
