// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/channels_last.h"

#include "vm/isa/choices.h"

namespace bcai::vm {

Type channels_last(const Type& type) {
  Type last{type.dtype, {type.shape[0]}};
  for (size_t axis = 2; axis < type.shape.rank(); ++axis) last.shape.push_back(type.shape[axis]);
  last.shape.push_back(type.shape[1]);
  return last;
}

Attributes to_channels_last(size_t rank) {
  std::vector<int64_t> order = {0};
  for (size_t axis = 2; axis < rank; ++axis) order.push_back(static_cast<int64_t>(axis));
  order.push_back(1);
  Attributes attributes;
  attributes.set(Attr::kPermutation, std::move(order));
  return attributes;
}

Attributes from_channels_last(size_t rank) {
  std::vector<int64_t> order = {0, static_cast<int64_t>(rank) - 1};
  for (size_t axis = 1; axis + 1 < rank; ++axis) order.push_back(static_cast<int64_t>(axis));
  Attributes attributes;
  attributes.set(Attr::kPermutation, std::move(order));
  return attributes;
}

bool wants_channels_last(const Function& function, const Instruction& instruction, bool fixed) {
  const bool convolution = instruction.opcode == Opcode::kConvolutionForward;
  const bool largest = instruction.opcode == Opcode::kMaxPool;
  const bool average = instruction.opcode == Opcode::kAveragePool;
  if (!(convolution && fixed) && !largest && !average) return false;
  for (const ValueId id : instruction.operands) {
    if (id != kNoValue && function.values[id].shape.elements() == Dim(0)) return false;
  }
  const Type& result = function.values[instruction.results[0]];
  const size_t rank = result.shape.rank();
  if (rank > 4 || result.shape.elements() == Dim(0)) return false;
  // A window rounded up may reach past the padding, and the kernel would count that part.
  const InstructionView view{instruction.opcode, {}, instruction.attributes, {}};
  return !average || int_of(view, Attr::kCountIncludePad) == 0 ||
         static_cast<Rounding>(int_of(view, Attr::kRounding)) == Rounding::kFloor;
}

std::optional<Type> broadcast_channels_last(const Type& operand, const Type& result) {
  const Dim elements = operand.shape.elements();
  if (elements == Dim(1)) return Type{operand.dtype, {}};
  const size_t lead = result.shape.rank() - operand.shape.rank();
  if (lead > 1 || !(elements == result.shape[1]) || !(operand.shape[1 - lead] == elements)) {
    return std::nullopt;
  }
  return Type{operand.dtype, {elements}};
}

}  // namespace bcai::vm
