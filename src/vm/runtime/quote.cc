// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/quote.h"

#include "vm/runtime/instance.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {

Result<Quote> quote(const BoundProgram& program, const MachineProfile& machine) {
  BCAI_TRY_ASSIGN(const Plan plan, compile(program));
  PackedWeights packed = PackedWeights::counting(plan, machine.level());
  BCAI_TRY_ASSIGN(const std::unique_ptr<Instance> instance,
                  Instance::make(plan, Addresses(plan.buffers.size()), packed, machine.level(),
                                 {.threads = machine.threads()}));
  Quote made;
  made.cost = cost_of(program).value();  // the verifier has seen that nothing overflows
  made.memory = instance->footprint();
  made.memory.packed = packed.bytes();
  made.time = machine.estimate(plan);
  return made;
}

}  // namespace bcai::vm
