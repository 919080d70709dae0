// SPDX-License-Identifier: Apache-2.0
// Movement: the elements stay as they are.
#include "vm/isa/choices.h"
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

bool same_dtype(const InstructionView& view, Judgement& judgement) {
  const DType expected = operand(view, 0).dtype;
  return judgement.require(view.stated[0].dtype == expected, "V18", "result is {}, expected {}",
                           dtype_name(view.stated[0].dtype), dtype_name(expected));
}

std::vector<Type> infer_reshape(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const Type& result = view.stated[0];
  same_dtype(view, judgement);
  judgement.require(x.shape.elements() == result.shape.elements(), "V10",
                    "{} has {} elements, {} has {}", judgement.text(x),
                    judgement.text(x.shape.elements()), judgement.text(result),
                    judgement.text(result.shape.elements()));
  return {result};
}

std::vector<Type> infer_transpose(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const std::vector<int64_t>& permutation = ints_of(view, Attr::kPermutation);
  std::vector<bool> seen(x.shape.rank());
  bool whole = permutation.size() == x.shape.rank();
  for (const int64_t axis : permutation) {
    const auto index = static_cast<size_t>(axis);
    whole = whole && index < seen.size() && !seen[index];
    if (whole) seen[index] = true;
  }
  if (!judgement.require(whole, "V13", "permutation [{}] does not name each of {} axes once",
                         fmt::join(permutation, ","), x.shape.rank())) {
    return {};
  }
  Type result{x.dtype, {}};
  for (const int64_t axis : permutation) {
    result.shape.push_back(x.shape[static_cast<size_t>(axis)]);
  }
  return {result};
}

std::vector<Type> infer_broadcast(const InstructionView& view, Judgement& judgement) {
  same_dtype(view, judgement);
  broadcasts_to(operand(view, 0).shape, view.stated[0].shape, judgement);
  return {view.stated[0]};
}

std::vector<Type> infer_slice(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const Type& result = view.stated[0];
  const std::vector<Dim>& starts = dims_of(view, Attr::kStarts);
  std::vector<int64_t> steps;
  same_dtype(view, judgement);
  const size_t rank = x.shape.rank();
  if (!judgement.require(starts.size() == rank && result.shape.rank() == rank, "V14",
                         "{} starts and a result of rank {} for {}", starts.size(),
                         result.shape.rank(), judgement.text(x)) ||
      !read_ints(view, Attr::kSteps, rank, 1, &steps, judgement)) {
    return {};
  }
  for (size_t axis = 0; axis < rank; ++axis) {
    const Dim& size = result.shape[axis];
    // An empty slice may start anywhere inside; else its last index lies inside.
    const Dim end =
        size == Dim(0) ? starts[axis] : starts[axis] + (size - Dim(1)) * Dim(steps[axis]) + Dim(1);
    judgement.require(
        judgement.at_most(Dim(0), starts[axis]) && judgement.at_most(end, x.shape[axis]), "V14",
        "axis {}: start {} + {} elements of step {} end at {}, past {}", axis,
        judgement.text(starts[axis]), judgement.text(size), steps[axis], judgement.text(end),
        judgement.text(x.shape[axis]));
  }
  return {result};
}

std::vector<Type> infer_concat(const InstructionView& view, Judgement& judgement) {
  const Type& first = operand(view, 0);
  if (!require_axis(view, first.shape.rank(), judgement)) return {};
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  Type result{first.dtype, first.shape};
  for (size_t i = 1; i < view.operands.size(); ++i) {
    const Type& next = operand(view, i);
    Shape expected = first.shape;
    if (next.shape.rank() == expected.rank()) expected[axis] = next.shape[axis];
    if (!require_shape(view, i, expected, judgement)) return {};
    result.shape[axis] = result.shape[axis] + next.shape[axis];
  }
  return {result};
}

std::vector<Type> infer_split(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const std::vector<Dim>& sizes = dims_of(view, Attr::kSizes);
  if (!require_axis(view, x.shape.rank(), judgement) ||
      !judgement.require(!sizes.empty() && sizes.size() <= kResultsMax, "V5",
                         "{} pieces, expected 1 to {}", sizes.size(), kResultsMax)) {
    return {};
  }
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  std::vector<Type> results;
  Dim sum(0);
  for (const Dim& size : sizes) {
    sum = sum + size;
    results.push_back({x.dtype, x.shape});
    results.back().shape[axis] = size;
  }
  judgement.require(sum == x.shape[axis], "V14", "sizes add up to {}, axis {} has {}",
                    judgement.text(sum), axis, judgement.text(x.shape[axis]));
  return results;
}

std::vector<Type> infer_pad(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  std::vector<int64_t> low;
  std::vector<int64_t> high;
  const size_t rank = x.shape.rank();
  if (!read_ints(view, Attr::kLow, rank, 0, &low, judgement) ||
      !read_ints(view, Attr::kHigh, rank, 0, &high, judgement)) {
    return {};
  }
  const auto mode = static_cast<PadMode>(int_of(view, Attr::kMode));
  Type result{x.dtype, {}};
  for (size_t axis = 0; axis < rank; ++axis) {
    const int64_t most = std::max(low[axis], high[axis]);
    // What is mirrored or repeated must be there.
    const Dim needed(mode == PadMode::kConstant || most == 0 ? 0
                     : mode == PadMode::kReflect             ? most + 1
                                                             : 1);
    judgement.require(judgement.at_most(needed, x.shape[axis]), "V14",
                      "axis {} has {}, padding of {} by '{}' needs {}", axis,
                      judgement.text(x.shape[axis]), most, kPadModeWords[static_cast<size_t>(mode)],
                      judgement.text(needed));
    result.shape.push_back(x.shape[axis] + Dim(low[axis]) + Dim(high[axis]));
  }
  return {result};
}

std::vector<Type> infer_reverse(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  require_axes(ints_of(view, Attr::kAxes), x.shape.rank(), judgement);
  return {{x.dtype, x.shape}};
}

}  // namespace

namespace classes {

const InstructionClass kReshape = {.name = "Reshape",
                                   .operands = {{"x", "[..]"}},
                                   .results = {"y"},
                                   .stated = true,
                                   .view = true,
                                   .rule = "as many elements as x (V10)",
                                   .infer = infer_reshape,
                                   .work = work_nothing};
const InstructionClass kTranspose = {.name = "Transpose",
                                     .operands = {{"x", "[..]"}},
                                     .results = {"y"},
                                     .rule = "the axes of x, permuted (V13)",
                                     .infer = infer_transpose,
                                     .work = work_nothing};
const InstructionClass kBroadcast = {.name = "Broadcast",
                                     .operands = {{"x", "[..]"}},
                                     .results = {"y"},
                                     .stated = true,
                                     .rule = "a shape that x broadcasts to (V11)",
                                     .infer = infer_broadcast,
                                     .work = work_nothing};
const InstructionClass kSlice = {.name = "Slice",
                                 .operands = {{"x", "[..]"}},
                                 .results = {"y"},
                                 .stated = true,
                                 .rule = "starts + (size - 1)*steps inside x on every axis (V14)",
                                 .infer = infer_slice,
                                 .work = work_nothing};
const InstructionClass kConcat = {
    .name = "Concat",
    .operands = {{"x", "[..]"}},
    .variadic = true,
    .results = {"y"},
    .rule = "equal shapes but for `axis`, where the sizes add up (V14)",
    .infer = infer_concat,
    .work = work_nothing};
const InstructionClass kSplit = {.name = "Split",
                                 .operands = {{"x", "[..]"}},
                                 .results = {"y.."},
                                 .rule = "sizes add up to the axis exactly (V14)",
                                 .infer = infer_split,
                                 .work = work_nothing};
const InstructionClass kPad = {.name = "Pad",
                               .operands = {{"x", "[..]"}},
                               .results = {"y"},
                               .rule = "low + size + high on every axis (V14)",
                               .infer = infer_pad,
                               .work = work_nothing};
const InstructionClass kReverse = {.name = "Reverse",
                                   .operands = {{"x", "[..]"}},
                                   .results = {"y"},
                                   .rule = "the shape of x (V13)",
                                   .infer = infer_reverse,
                                   .work = work_nothing};

}  // namespace classes
}  // namespace bcai::vm
