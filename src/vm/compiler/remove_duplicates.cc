// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {
namespace {

using Key = std::pair<Opcode, std::vector<ValueId>>;

}  // namespace

Program remove_duplicates(const Program& program) {
  const Function& main = program.functions[0];
  // By opcode and new operands: those of main's own region, which all that follows can see.
  std::map<Key, std::vector<const Instruction*>> seen;
  const auto visit = [&](Rewriter& r, const Instruction& old) {
    const bool state = std::any_of(old.operands.begin(), old.operands.end(), [&](ValueId id) {
      return id != kNoValue && main.values[id].is_state;
    });
    if (state || !old.regions.empty() || old.opcode == Opcode::kReturn) return false;
    std::vector<const Instruction*>& candidates = seen[{old.opcode, r.now(old.operands)}];
    for (const Instruction* candidate : candidates) {
      const auto same_type = [&](ValueId a, ValueId b) { return main.values[a] == main.values[b]; };
      if (candidate->reference == old.reference && candidate->attributes == old.attributes &&
          std::equal(candidate->results.begin(), candidate->results.end(), old.results.begin(),
                     old.results.end(), same_type)) {
        for (size_t i = 0; i < old.results.size(); ++i) {
          r.set(old.results[i], r.now(candidate->results[i]));
        }
        return true;
      }
    }
    if (r.depth() == 1) candidates.push_back(&old);
    return false;
  };
  return Rewriter(program, visit).run();
}

}  // namespace bcai::vm
