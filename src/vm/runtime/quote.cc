// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/quote.h"

#include "vm/runtime/instance.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {

namespace {

// A plan, and what an instance of it would be; nothing is packed and nothing runs.
struct Draft {
  explicit Draft(Plan compiled, SimdLevel level)
      : plan(std::move(compiled)), packed(PackedWeights::counting(plan, level)) {}

  Plan plan;
  PackedWeights packed;
  std::unique_ptr<Instance> instance;
};

Result<std::unique_ptr<Draft>> draft_of(const BoundProgram& program, SimdLevel level, int threads) {
  BCAI_TRY_ASSIGN(Plan plan, compile(program));
  auto draft = std::make_unique<Draft>(std::move(plan), level);
  BCAI_TRY_ASSIGN(draft->instance,
                  Instance::make(draft->plan, Addresses(draft->plan.buffers.size()), draft->packed,
                                 level, {.threads = threads}));
  return draft;
}

Footprint footprint(const Draft& draft) {
  Footprint memory = draft.instance->footprint();
  memory.packed = draft.packed.bytes();
  return memory;
}

}  // namespace

Result<Footprint> footprint_of(const BoundProgram& program, SimdLevel level, int threads) {
  BCAI_TRY_ASSIGN(const std::unique_ptr<Draft> draft, draft_of(program, level, threads));
  return footprint(*draft);
}

Result<Quote> quote(const BoundProgram& program, const MachineProfile& machine) {
  BCAI_TRY_ASSIGN(const std::unique_ptr<Draft> draft,
                  draft_of(program, machine.level(), machine.threads()));
  Quote made;
  made.cost = cost_of(program).value();  // the verifier has seen that nothing overflows
  made.memory = footprint(*draft);
  made.time = machine.estimate(draft->plan);
  return made;
}

Result<std::string> explain(const BoundProgram& program, const MachineProfile& machine) {
  BCAI_TRY_ASSIGN(const std::unique_ptr<Draft> draft,
                  draft_of(program, machine.level(), machine.threads()));
  const Estimate estimate = machine.estimate(draft->plan);
  std::vector<LaunchNote> notes(estimate.launch_ns.size());
  const std::vector<std::string_view> backends = draft->instance->backends();
  size_t next = 0;
  const auto note = [&](const auto& self, const Sequence& sequence) -> void {
    for (const Launch& launch : sequence) {
      const auto step = static_cast<size_t>(launch.step);
      notes[step] = {backends[next++], estimate.launch_ns[step] * 1e-3};
      for (const Sequence& body : launch.bodies) self(self, body);
    }
  };
  note(note, draft->plan.main);
  return vm::explain(draft->plan, notes);
}

}  // namespace bcai::vm
