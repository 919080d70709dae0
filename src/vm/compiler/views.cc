// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/views.h"

namespace bcai::vm {
namespace {

// Only axes of size 1 change places.
bool keeps_order(const Shape& shape, const std::vector<int64_t>& permutation) {
  int64_t last = -1;
  for (const int64_t axis : permutation) {
    if (shape[static_cast<size_t>(axis)] == Dim(1)) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

// The offset of a slice that is one run of elements: whole axes behind the first axis that it cuts,
// one element on those before.
std::optional<int64_t> run_offset(const Shape& from, const Shape& to,
                                  const std::vector<Dim>& starts,
                                  const std::vector<int64_t>& steps) {
  int64_t offset = 0;
  bool cut = false;
  int64_t stride = 1;
  for (size_t axis = from.rank(); axis-- > 0;) {
    const int64_t size = to[axis].value();
    if (cut && size != 1) return std::nullopt;
    if (size > 1 && !steps.empty() && steps[axis] != 1) return std::nullopt;
    cut = cut || size != from[axis].value();
    offset += starts[axis].value() * stride;
    stride *= from[axis].value();
  }
  return offset;
}

}  // namespace

std::optional<std::vector<int64_t>> view_offsets(const Function& function,
                                                 const Instruction& instruction) {
  if (instruction.operands.empty() || instruction.operands[0] == kNoValue) return std::nullopt;
  std::vector<const Type*> types;
  std::vector<Type> stated;
  const InstructionView view = view_of(function, instruction, &types, &stated);
  std::vector<Type> results;
  for (const ValueId id : instruction.results) results.push_back(function.values[id]);
  const Type& from = *types[0];
  const Type& to = results[0];
  const int64_t size = dtype_bytes(from.dtype);
  const std::vector<int64_t> whole = {0};
  const bool same_count = from.shape.elements() == to.shape.elements();
  switch (instruction.opcode) {
    case Opcode::kReshape: return whole;
    case Opcode::kCast: return from.dtype == to.dtype ? std::optional(whole) : std::nullopt;
    case Opcode::kBroadcast: return same_count ? std::optional(whole) : std::nullopt;
    case Opcode::kTranspose:
      if (!keeps_order(from.shape, ints_of(view, Attr::kPermutation))) return std::nullopt;
      return whole;
    case Opcode::kSlice: {
      if (to.shape.elements() == Dim(0)) return whole;
      const auto offset = run_offset(from.shape, to.shape, dims_of(view, Attr::kStarts),
                                     ints_of(view, Attr::kSteps));
      if (!offset) return std::nullopt;
      return std::vector<int64_t>{*offset * size};
    }
    case Opcode::kSplit: {
      const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
      if (!(from.shape.elements(0, axis) == Dim(1)) && results.size() > 1) return std::nullopt;
      std::vector<int64_t> offsets;
      int64_t offset = 0;
      for (const Type& piece : results) {
        offsets.push_back(offset);
        offset += piece.bytes().value();
      }
      return offsets;
    }
    case Opcode::kConcat:
      return instruction.operands.size() == 1 ? std::optional(whole) : std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace bcai::vm
