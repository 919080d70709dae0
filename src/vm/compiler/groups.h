// SPDX-License-Identifier: Apache-2.0
// Which instructions of a region run as one launch. A group runs where its last instruction stood,
// and every operation in it rounds as it would alone, so no bit changes.
//   map       elementwise instructions over one shape; what others use of it becomes a result
//   residual  a matmul or convolution, the Add behind it, and a Relu behind that
//   norm      an Add that no map has, and the LayerNorm or RMSNorm behind it
#pragma once

#include <cstdint>
#include <vector>

#include "vm/program/program.h"

namespace bcai::vm {

inline constexpr uint32_t kNoGroup = UINT32_MAX;
inline constexpr size_t kMapInputsMost = 8;
inline constexpr size_t kMapResultsMost = 4;
inline constexpr size_t kMapStepsMost = 30;

enum class GroupKind : uint8_t { kMap, kResidual, kNorm };

struct Group {
  GroupKind kind = GroupKind::kMap;
  std::vector<uint32_t> members;  // instructions of the region, ascending
  std::vector<ValueId> inputs;    // of a map
  std::vector<ValueId> results;
};

struct Groups {
  std::vector<uint32_t> group_of;  // for each instruction of the region, or kNoGroup
  std::vector<Group> groups;
};

// What main's values are used by; made once, for all regions.
class Uses {
 public:
  explicit Uses(const Program& program);

  // Whether `value` is NaN only as 0x7fc00000, because an instruction computed it.
  bool canonical(ValueId value) const { return canonical_[value]; }
  uint32_t count(ValueId value) const { return counts_[value]; }

 private:
  void see(const Region& region, const Program& program);

  std::vector<uint32_t> counts_;
  std::vector<bool> canonical_;
};

// Whether a launch of kind kMap can do the instruction.
bool is_elementwise(const Function& function, const Instruction& instruction);

Groups find_groups(const Function& function, const Region& region, const Uses& uses);

}  // namespace bcai::vm
