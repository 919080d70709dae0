// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {
namespace {

class Liveness {
 public:
  explicit Liveness(const Program& program) : live_(program.functions[0].values.size()) {
    for (const ValueId id : program.checkpoints) live_[id] = true;
    mark(program.functions[0].body);
  }

  bool needed(const Instruction& instruction) const {
    return instruction.opcode == Opcode::kReturn || may_trap(instruction) ||
           std::any_of(instruction.results.begin(), instruction.results.end(),
                       [&](ValueId id) { return live_[id]; });
  }

 private:
  void mark(const Region& region) {
    for (size_t i = region.instructions.size(); i-- > 0;) {
      const Instruction& instruction = region.instructions[i];
      if (!needed(instruction)) continue;
      for (const ValueId id : instruction.operands) {
        if (id != kNoValue) live_[id] = true;
      }
      for (const Region& inner : instruction.regions) mark(inner);
    }
  }

  std::vector<bool> live_;
};

}  // namespace

bool may_trap(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::kEmbeddingLookup:
    case Opcode::kGather:
    case Opcode::kGatherElements: return true;
    case Opcode::kKVCacheAppend: return true;
    case Opcode::kTransformerAttention: return instruction.operands.size() > 4;
    default: break;
  }
  return std::any_of(instruction.regions.begin(), instruction.regions.end(), [](const Region& r) {
    return std::any_of(r.instructions.begin(), r.instructions.end(), may_trap);
  });
}

Program remove_dead_code(const Program& program) {
  const Liveness liveness(program);
  const auto visit = [&](Rewriter&, const Instruction& old) { return !liveness.needed(old); };
  return Rewriter(program, visit).run();
}

}  // namespace bcai::vm
