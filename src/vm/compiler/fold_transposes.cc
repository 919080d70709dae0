// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {
namespace {

bool swaps_last_two(const std::vector<int64_t>& permutation) {
  const size_t rank = permutation.size();
  if (rank < 2) return false;
  for (size_t i = 0; i + 2 < rank; ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return permutation[rank - 2] == static_cast<int64_t>(rank - 1);
}

void toggle(Attributes& attributes, Attr flag) {
  if (attributes.find(flag) != nullptr) {
    attributes.erase(flag);
  } else {
    attributes.set(flag, int64_t{1});
  }
}

}  // namespace

Program fold_transposes(const Program& program) {
  const auto visit = [](Rewriter& r, const Instruction& old) {
    if (old.opcode != Opcode::kTensorMatMul) return false;
    std::vector<ValueId> operands = r.now(old.operands);
    Attributes attributes = old.attributes;
    for (const auto& [side, flag] : {std::pair<size_t, Attr>{0, Attr::kTransposeA},
                                     std::pair<size_t, Attr>{1, Attr::kTransposeB}}) {
      const Instruction* maker = r.definition(operands[side]);
      while (maker != nullptr && maker->opcode == Opcode::kTranspose) {
        const AttributeValue* permutation = maker->attributes.find(Attr::kPermutation);
        if (permutation == nullptr || !swaps_last_two(std::get<2>(*permutation))) break;
        toggle(attributes, flag);
        operands[side] = maker->operands[0];
        maker = r.definition(operands[side]);
      }
    }
    r.copy_with(old, std::move(operands), std::move(attributes));
    return true;
  };
  return Rewriter(program, visit).run();
}

}  // namespace bcai::vm
