// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/channels_last.h"

#include "vm/isa/choices.h"

namespace bcai::vm {
namespace {

int64_t number_at(const InstructionView& view, Attr attribute, size_t axis, int64_t otherwise) {
  const std::vector<int64_t>& numbers = ints_of(view, attribute);
  return numbers.empty() ? otherwise : numbers[axis];
}

// A window that meets padding alone has another result in the kernels: dilation and rounding up
// can make one.
bool every_window_has_a_tap(const InstructionView& view, const Shape& x, const Shape& result) {
  for (size_t axis = 0; axis + 2 < x.rank(); ++axis) {
    const int64_t kernel = number_at(view, Attr::kKernel, axis, 1);
    const int64_t dilation = number_at(view, Attr::kDilations, axis, 1);
    const int64_t size = x[axis + 2].value();
    for (int64_t i = 0; i < result[axis + 2].value(); ++i) {
      const int64_t start =
          i * number_at(view, Attr::kStrides, axis, 1) - number_at(view, Attr::kPadsLow, axis, 0);
      bool inside = false;
      for (int64_t tap = 0; tap < kernel && !inside; ++tap) {
        inside = start + tap * dilation >= 0 && start + tap * dilation < size;
      }
      if (!inside) return false;
    }
  }
  return true;
}

}  // namespace

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
  const Type& x = function.values[instruction.operands[0]];
  if (!convolution && !every_window_has_a_tap(view, x.shape, result.shape)) return false;
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
