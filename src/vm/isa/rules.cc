// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

bool fits(const Dim& from, const Dim& to) { return from == to || from == Dim(1); }

}  // namespace

bool Judgement::at_most(const Dim& a, const Dim& b) const {
  if (a.is_constant() || b.is_constant()) {
    const std::optional<Dim::Interval> low = a.bounds(symbols_);
    const std::optional<Dim::Interval> high = b.bounds(symbols_);
    return low && high && low->max <= high->min;
  }
  const Dim difference = b - a;
  if (difference.is_constant()) return difference.value() >= 0;
  const std::optional<Dim::Interval> bounds = difference.bounds(symbols_);
  return bounds && bounds->min >= 0;
}

bool broadcast(const Shape& a, const Shape& b, Shape* result, Judgement& judgement) {
  const size_t rank = std::max(a.rank(), b.rank());
  Shape shape;
  for (size_t axis = 0; axis < rank; ++axis) {
    const bool in_a = axis + a.rank() >= rank;
    const bool in_b = axis + b.rank() >= rank;
    const Dim& left = in_a ? a[axis + a.rank() - rank] : b[axis + b.rank() - rank];
    const Dim& right = in_b ? b[axis + b.rank() - rank] : left;
    if (!fits(left, right) && !fits(right, left)) {
      return judgement.refuse("V11", "{} and {} do not broadcast: axis {} has {} and {}",
                              judgement.text(a), judgement.text(b), axis, judgement.text(left),
                              judgement.text(right));
    }
    shape.push_back(left == Dim(1) ? right : left);
  }
  *result = shape;
  return true;
}

bool broadcasts_to(const Shape& shape, const Shape& target, Judgement& judgement) {
  bool fit = shape.rank() <= target.rank();
  for (size_t axis = 0; fit && axis < shape.rank(); ++axis) {
    fit = fits(shape[axis], target[axis + target.rank() - shape.rank()]);
  }
  return judgement.require(fit, "V11", "{} does not broadcast to {}", judgement.text(shape),
                           judgement.text(target));
}

std::string to_text(const OperandText& operand) {
  const std::vector<OperandSpec>& specs = info_of(operand.view.opcode).instruction_class->operands;
  const size_t listed = std::min(operand.index, specs.size() - 1);
  return fmt::format("operand {} ({})", operand.index, specs[listed].name);
}

bool require_rank(const InstructionView& view, size_t index, size_t rank, Judgement& judgement) {
  const Shape& shape = operand(view, index).shape;
  return judgement.require(shape.rank() == rank, "V17", "{} is {}, expected {} axes",
                           operand_text(view, index), judgement.text(shape), rank);
}

bool require_shape(const InstructionView& view, size_t index, const Shape& expected,
                   Judgement& judgement) {
  const Shape& shape = operand(view, index).shape;
  return judgement.require(shape == expected, "V17", "{} is {}, expected {}",
                           operand_text(view, index), judgement.text(shape),
                           judgement.text(expected));
}

bool require_dtype(const InstructionView& view, size_t index, DTypeSet dtypes,
                   Judgement& judgement) {
  if (dtypes.contains(operand(view, index).dtype)) return true;
  std::string expected;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                            DType::kI8, DType::kU8, DType::kBool}) {
    if (!dtypes.contains(dtype)) continue;
    expected += expected.empty() ? "" : ", ";
    expected += dtype_name(dtype);
  }
  return judgement.refuse("V26", "{} is {}, expected {}", operand_text(view, index),
                          dtype_name(operand(view, index).dtype), expected);
}

bool require_axis(const InstructionView& view, size_t rank, Judgement& judgement) {
  const int64_t axis = int_of(view, Attr::kAxis);
  return judgement.require(axis >= 0 && static_cast<size_t>(axis) < rank, "V13",
                           "axis {} of {} axes", axis, rank);
}

bool require_axes(const std::vector<int64_t>& axes, size_t rank, Judgement& judgement) {
  bool ascending = true;
  int64_t previous = -1;
  for (const int64_t axis : axes) {
    ascending = ascending && axis > previous && static_cast<size_t>(axis) < rank;
    previous = axis;
  }
  return judgement.require(ascending, "V13", "axes [{}] are not ascending and below {}",
                           fmt::join(axes, ","), rank);
}

bool read_ints(const InstructionView& view, Attr attribute, size_t count, int64_t otherwise,
               std::vector<int64_t>* out, Judgement& judgement) {
  const std::vector<int64_t>& given = ints_of(view, attribute);
  if (given.empty()) {
    out->assign(count, otherwise);
    return true;
  }
  *out = given;
  return judgement.require(given.size() == count, "V19", "{} has {} numbers, expected {}",
                           attribute_name(attribute), given.size(), count);
}

Dim work_nothing(const InstructionView&) { return {0}; }
Dim work_first_operand(const InstructionView& view) { return operand(view, 0).shape.elements(); }

}  // namespace bcai::vm
