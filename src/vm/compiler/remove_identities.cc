// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {
namespace {

bool zero(const Dim& dim) { return dim == Dim(0); }
bool one(int64_t step) { return step == 1; }

bool in_order(const std::vector<int64_t>& permutation) {
  return std::is_sorted(permutation.begin(), permutation.end());
}

// Given that the result has the type of the only operand.
bool changes_nothing(const InstructionView& view) {
  switch (view.opcode) {
    case Opcode::kReshape:
    case Opcode::kCast:
    case Opcode::kBroadcast:
    case Opcode::kConcat:
    case Opcode::kSplit: return true;
    case Opcode::kTranspose: return in_order(ints_of(view, Attr::kPermutation));
    case Opcode::kReverse: return ints_of(view, Attr::kAxes).empty();
    case Opcode::kSlice: {
      const auto& starts = dims_of(view, Attr::kStarts);
      const auto& steps = ints_of(view, Attr::kSteps);
      return std::all_of(starts.begin(), starts.end(), zero) &&
             std::all_of(steps.begin(), steps.end(), one);
    }
    default: return false;
  }
}

}  // namespace

Program remove_identities(const Program& program) {
  const Function& main = program.functions[0];
  const auto visit = [&](Rewriter& r, const Instruction& old) {
    if (old.operands.size() != 1 || old.results.size() != 1 || !old.regions.empty()) return false;
    ValueId from = r.now(old.operands[0]);
    const Type& result = main.values[old.results[0]];
    const Instruction* const maker = r.definition(from);
    const bool again =
        old.opcode == Opcode::kReshape && maker != nullptr && maker->opcode == Opcode::kReshape;
    if (again) from = maker->operands[0];
    std::vector<const Type*> types;
    std::vector<Type> stated;
    const InstructionView view = view_of(main, old, &types, &stated);
    if (r.type_of(from) == result && changes_nothing(view)) {
      r.set(old.results[0], from);
      return true;
    }
    if (!again) return false;
    r.copy_with(old, {from}, old.attributes);
    return true;
  };
  return Rewriter(program, visit).run();
}

}  // namespace bcai::vm
