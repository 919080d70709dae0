// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/groups.h"

#include <algorithm>
#include <map>

namespace bcai::vm {
namespace {

// Batch axes that the matmul kernels take.
constexpr size_t kResidualRankMax = 6;

bool contains(const std::vector<ValueId>& values, ValueId value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

class Grouping {
 public:
  Grouping(const Function& function, const Region& region, const Uses& uses)
      : function_(function), region_(region), uses_(uses) {
    groups_.group_of.assign(region.instructions.size(), kNoGroup);
    for (uint32_t i = 0; i < region.instructions.size(); ++i) {
      const Instruction& instruction = region.instructions[i];
      for (const ValueId id : instruction.results) maker_[id] = i;
      note_users(instruction, i);
    }
  }

  Groups run() {
    for (uint32_t i = 0; i < region_.instructions.size(); ++i) {
      const Instruction& instruction = region_.instructions[i];
      if (join_residual(i, instruction) || join_relu(i, instruction) || join_norm(i, instruction)) {
        continue;
      }
      if (is_elementwise(function_, instruction)) join_map(i, instruction);
    }
    return std::move(groups_);
  }

 private:
  // The instructions of this region that use a value, themselves or in their regions.
  void note_users(const Instruction& instruction, uint32_t user) {
    for (const ValueId id : instruction.operands) {
      if (id != kNoValue) users_[id].push_back(user);
    }
    for (const Region& inner : instruction.regions) {
      for (const Instruction& nested : inner.instructions) note_users(nested, user);
    }
  }

  const Type& type_of(ValueId value) const { return function_.values[value]; }

  bool join_residual(uint32_t i, const Instruction& add) {
    if (add.opcode != Opcode::kAdd) return false;
    for (size_t side = 0; side < 2; ++side) {
      const ValueId product = add.operands[side];
      const ValueId other = add.operands[1 - side];
      const auto maker = maker_.find(product);
      if (maker == maker_.end() || product == other || uses_.count(product) != 1) continue;
      const Opcode opcode = region_.instructions[maker->second].opcode;
      const bool joins = opcode == Opcode::kTensorMatMul || opcode == Opcode::kConvolutionForward;
      if (!joins || !(type_of(other) == type_of(product)) ||
          type_of(product).shape.rank() > kResidualRankMax ||
          groups_.group_of[maker->second] != kNoGroup) {
        continue;
      }
      groups_.groups.push_back({GroupKind::kResidual, {maker->second, i}, {}, add.results});
      set_group(static_cast<uint32_t>(groups_.groups.size() - 1));
      return true;
    }
    return false;
  }

  // The Relu of a sum that nobody else uses.
  bool join_relu(uint32_t i, const Instruction& relu) {
    if (relu.opcode != Opcode::kRelu || uses_.count(relu.operands[0]) != 1) return false;
    const auto maker = maker_.find(relu.operands[0]);
    if (maker == maker_.end() || groups_.group_of[maker->second] == kNoGroup) return false;
    Group& group = groups_.groups[groups_.group_of[maker->second]];
    if (group.kind != GroupKind::kResidual || group.members.size() != 2) return false;
    group.members.push_back(i);
    group.results = relu.results;
    groups_.group_of[i] = groups_.group_of[maker->second];
    return true;
  }

  bool join_norm(uint32_t i, const Instruction& norm) {
    if (norm.opcode != Opcode::kLayerNorm && norm.opcode != Opcode::kRMSNorm) return false;
    const ValueId sum = norm.operands[0];
    const auto maker = maker_.find(sum);
    if (maker == maker_.end() || uses_.count(sum) != 1) return false;
    const Instruction& add = region_.instructions[maker->second];
    if (add.opcode != Opcode::kAdd || !(type_of(add.operands[0]) == type_of(sum)) ||
        !(type_of(add.operands[1]) == type_of(sum))) {
      return false;
    }
    const uint32_t number = groups_.group_of[maker->second];
    if (number == kNoGroup) return false;
    Group& group = groups_.groups[number];
    if (group.members.size() != 1) return false;
    group = {GroupKind::kNorm, {maker->second, i}, {}, norm.results};
    groups_.group_of[i] = number;
    return true;
  }

  void join_map(uint32_t i, const Instruction& instruction) {
    // The group of an operand's maker, the latest first, as it has the most to come.
    std::vector<uint32_t> candidates;
    for (const ValueId id : instruction.operands) {
      const auto maker = maker_.find(id);
      if (maker == maker_.end()) continue;
      const uint32_t group = groups_.group_of[maker->second];
      if (group != kNoGroup && groups_.groups[group].kind == GroupKind::kMap) {
        candidates.push_back(group);
      }
    }
    std::sort(candidates.rbegin(), candidates.rend());
    for (const uint32_t candidate : candidates) {
      if (try_join(candidate, i)) return;
    }
    Group alone{GroupKind::kMap, {i}, {}, {}};
    find_ends(alone);
    groups_.groups.push_back(std::move(alone));
    groups_.group_of[i] = static_cast<uint32_t>(groups_.groups.size() - 1);
  }

  bool try_join(uint32_t number, uint32_t i) {
    Group joined = groups_.groups[number];
    const Instruction& instruction = region_.instructions[i];
    const Instruction& first = region_.instructions[joined.members[0]];
    if (!(type_of(first.results[0]).shape == type_of(instruction.results[0]).shape)) return false;
    joined.members.push_back(i);
    find_ends(joined);
    if (joined.inputs.size() > kMapInputsMost || joined.results.size() > kMapResultsMost ||
        joined.members.size() > kMapStepsMost || !runs_late_enough(joined, i) ||
        !keeps_nans(joined)) {
      return false;
    }
    groups_.groups[number] = std::move(joined);
    groups_.group_of[i] = number;
    return true;
  }

  // Nobody needs a result of the group before its last instruction.
  bool runs_late_enough(const Group& group, uint32_t last) const {
    for (const ValueId id : group.results) {
      const auto users = users_.find(id);
      if (users == users_.end()) continue;
      for (const uint32_t user : users->second) {
        const bool inside =
            std::find(group.members.begin(), group.members.end(), user) != group.members.end();
        if (!inside && user < last) return false;
      }
    }
    return true;
  }

  // A Select passes a NaN on as it is, a fused one makes it canonical.
  bool keeps_nans(const Group& group) const {
    for (const uint32_t member : group.members) {
      const Instruction& select = region_.instructions[member];
      if (select.opcode != Opcode::kSelect || type_of(select.results[0]).dtype != DType::kF32) {
        continue;
      }
      if (!uses_.canonical(select.operands[1]) || !uses_.canonical(select.operands[2])) {
        return false;
      }
    }
    return true;
  }

  // Its inputs, and the results that instructions outside use.
  void find_ends(Group& group) const {
    std::vector<ValueId> made;
    group.inputs.clear();
    group.results.clear();
    for (const uint32_t member : group.members) {
      const Instruction& instruction = region_.instructions[member];
      for (const ValueId id : instruction.operands) {
        if (!contains(made, id) && !contains(group.inputs, id)) group.inputs.push_back(id);
      }
      made.push_back(instruction.results[0]);
    }
    for (const ValueId id : made) {
      uint32_t inside = 0;
      for (const uint32_t member : group.members) {
        const auto& operands = region_.instructions[member].operands;
        inside += static_cast<uint32_t>(std::count(operands.begin(), operands.end(), id));
      }
      if (uses_.count(id) > inside || uses_.count(id) == 0) group.results.push_back(id);
    }
  }

  void set_group(uint32_t number) {
    for (const uint32_t member : groups_.groups[number].members) {
      groups_.group_of[member] = number;
    }
  }

  const Function& function_;
  const Region& region_;
  const Uses& uses_;
  std::map<ValueId, uint32_t> maker_;
  std::map<ValueId, std::vector<uint32_t>> users_;
  Groups groups_;
};

// Instructions whose f32 results have canonical NaNs whatever they read.
bool computes(Opcode opcode) {
  const std::string_view kind = info_of(opcode).instruction_class->name;
  return kind == "ElementwiseUnary" || kind == "ElementwiseBinary" || kind == "Reduce" ||
         kind == "MatMul" || kind == "Softmax" || kind == "LayerNorm" || kind == "RMSNorm" ||
         opcode == Opcode::kConst || opcode == Opcode::kFill;
}

}  // namespace

Uses::Uses(const Program& program) {
  const size_t count = program.functions[0].values.size();
  counts_.assign(count, 0);
  canonical_.assign(count, false);
  see(program.functions[0].body, program);
  for (const ValueId id : program.checkpoints) ++counts_[id];
}

void Uses::see(const Region& region, const Program& program) {
  for (const Instruction& instruction : region.instructions) {
    for (const ValueId id : instruction.operands) {
      if (id != kNoValue) ++counts_[id];
    }
    for (const Region& inner : instruction.regions) see(inner, program);
    bool canonical = computes(instruction.opcode);
    if (instruction.opcode == Opcode::kSelect) {
      canonical = canonical_[instruction.operands[1]] && canonical_[instruction.operands[2]];
    }
    for (const ValueId id : instruction.results) canonical_[id] = canonical;
  }
}

Groups find_groups(const Function& function, const Region& region, const Uses& uses) {
  return Grouping(function, region, uses).run();
}

}  // namespace bcai::vm
