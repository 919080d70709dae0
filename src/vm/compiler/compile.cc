// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/compile.h"

#include "vm/compiler/lowering.h"
#include "vm/compiler/passes.h"
#include "vm/compiler/place_buffers.h"

namespace bcai::vm {

Result<Plan> compile(const BoundProgram& program, const CompileOptions& options) {
  BCAI_TRY_ASSIGN(Program main, inline_calls(program.program()));
  if (!options.checkpoints) main.checkpoints.clear();
  if (options.rewrite) {
    for (const auto pass : {remove_identities, remove_duplicates, widen_params, fold_transposes,
                            fold_epilogues, remove_dead_code}) {
      main = pass(main);
    }
  }
  Plan plan = lower(std::move(main), options.fuse);
  BCAI_TRY(place_buffers(plan));
  return plan;
}

}  // namespace bcai::vm
