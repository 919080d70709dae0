// SPDX-License-Identifier: Apache-2.0
// What native programs cost on this machine: before a run (quote, compile) and measured (bench).
#pragma once

#include <memory>

#include "cli/context.h"
#include "cli/vm_program.h"
#include "vm/runtime/executable.h"

namespace bcai::cli {

Result<void> vm_quote(const VmOptions& options, const Context& context);
Result<void> vm_compile(const VmOptions& options, const Context& context);
Result<void> vm_bench(const VmOptions& options, const Context& context);

// As many as the processor has, when none are asked for.
int vm_threads(int asked);

// With packed weights in the data directory. Original weights are dropped from memory.
Result<std::shared_ptr<const vm::Executable>> prepare_program(const vm::BoundProgram& program,
                                                              const vm::Model& model,
                                                              const VmOptions& options,
                                                              const Context& context);

}  // namespace bcai::cli
