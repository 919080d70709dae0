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
  const bool convolution = instruction.opcode == Opcode::kConvolutionForward ||
                           instruction.opcode == Opcode::kConvolutionTranspose;
  const bool largest = instruction.opcode == Opcode::kMaxPool;
  const bool average = instruction.opcode == Opcode::kAveragePool;
  if (!(convolution && fixed) && !largest && !average) return false;
  for (const ValueId id : instruction.operands) {
    if (id != kNoValue && function.values[id].shape.elements() == Dim(0)) return false;
  }
  const Type& result = function.values[instruction.results[0]];
  if (result.shape.rank() > 4 || result.shape.elements() == Dim(0)) return false;
  // A window rounded up may reach past the padding, and the kernel would count that part.
  const InstructionView view{instruction.opcode, {}, instruction.attributes, {}};
  return !average || int_of(view, Attr::kCountIncludePad) == 0 ||
         static_cast<Rounding>(int_of(view, Attr::kRounding)) == Rounding::kFloor;
}

namespace {

// Where axis `axis` of [N,C,..] lies in [N,..,C].
int64_t turned_axis(int64_t axis, size_t rank) {
  return axis == 0 ? 0 : axis == 1 ? static_cast<int64_t>(rank) - 1 : axis - 1;
}

}  // namespace

std::optional<Attributes> attributes_channels_last(const Function& function,
                                                   const Instruction& instruction) {
  const Type& result = function.values[instruction.results[0]];
  const size_t rank = function.values[instruction.operands[0]].shape.rank();
  if (rank < 3 || result.shape.elements() == Dim(0)) return std::nullopt;
  const InstructionView view{instruction.opcode, {}, instruction.attributes, {}};
  Attributes attributes = instruction.attributes;
  switch (instruction.opcode) {
    case Opcode::kBatchNormInfer:
    case Opcode::kResize: return attributes;
    case Opcode::kConcat:
      attributes.set(Attr::kAxis, turned_axis(int_of(view, Attr::kAxis), rank));
      return attributes;
    default: return std::nullopt;
  }
}

std::optional<Attributes> spatial_axes_channels_last(const Function& function,
                                                     const Instruction& reduction) {
  const std::string_view kind = info_of(reduction.opcode).instruction_class->name;
  if (kind != "Reduce") return std::nullopt;
  const size_t rank = function.values[reduction.operands[0]].shape.rank();
  const InstructionView view{reduction.opcode, {}, reduction.attributes, {}};
  std::vector<int64_t> axes = ints_of(view, Attr::kAxes);
  if (axes.size() + 2 != rank || axes.empty() || axes[0] != 2) return std::nullopt;
  for (int64_t& axis : axes) axis = turned_axis(axis, rank);
  Attributes attributes = reduction.attributes;
  attributes.set(Attr::kAxes, std::move(axes));
  return attributes;
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
