// SPDX-License-Identifier: Apache-2.0
// Along axes: reductions, scans, selections.
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

Type drop_axes(const Type& x, const std::vector<int64_t>& axes, bool keep) {
  Type result{x.dtype, {}};
  size_t next = 0;
  for (size_t axis = 0; axis < x.shape.rank(); ++axis) {
    const bool reduced = next < axes.size() && static_cast<size_t>(axes[next]) == axis;
    if (reduced) ++next;
    if (!reduced) result.shape.push_back(x.shape[axis]);
    if (reduced && keep) result.shape.push_back(Dim(1));
  }
  return result;
}

bool require_extent(const Type& x, size_t axis, const Dim& least, Judgement& judgement) {
  return judgement.require(judgement.at_most(least, x.shape[axis]), "V13",
                           "axis {} of {} has fewer than {} elements", axis, judgement.text(x),
                           judgement.text(least));
}

std::vector<Type> infer_reduce(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const std::vector<int64_t>& axes = ints_of(view, Attr::kAxes);
  if (!require_axes(axes, x.shape.rank(), judgement)) return {};
  for (const int64_t axis : axes) {
    require_extent(x, static_cast<size_t>(axis), Dim(1), judgement);
  }
  return {drop_axes(x, axes, int_of(view, Attr::kKeepDims) != 0)};
}

std::vector<Type> infer_arg_reduce(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  if (!require_axis(view, x.shape.rank(), judgement)) return {};
  const int64_t axis = int_of(view, Attr::kAxis);
  require_extent(x, static_cast<size_t>(axis), Dim(1), judgement);
  Type result = drop_axes(x, {axis}, int_of(view, Attr::kKeepDims) != 0);
  result.dtype = DType::kI64;
  return {result};
}

std::vector<Type> infer_scan(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  require_axis(view, x.shape.rank(), judgement);
  return {{x.dtype, x.shape}};
}

std::vector<Type> infer_top_k(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  if (!require_axis(view, x.shape.rank(), judgement)) return {};
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  const Dim k(int_of(view, Attr::kK));
  require_extent(x, axis, k, judgement);
  Type values{x.dtype, x.shape};
  values.shape[axis] = k;
  return {values, {DType::kI64, values.shape}};
}

}  // namespace

namespace classes {

const InstructionClass kReduce = {
    .name = "Reduce",
    .operands = {{"x", "[..]"}},
    .results = {"y"},
    .rule = "x without `axes`, or with size 1 there; none of them empty (V13)",
    .infer = infer_reduce,
    .work = work_first_operand};
const InstructionClass kArgReduce = {.name = "ArgReduce",
                                     .operands = {{"x", "[..]"}},
                                     .results = {"index"},
                                     .rule = "i64; x without `axis`, or with size 1 there (V13)",
                                     .infer = infer_arg_reduce,
                                     .work = work_first_operand};
const InstructionClass kScan = {.name = "Scan",
                                .operands = {{"x", "[..]"}},
                                .results = {"y"},
                                .rule = "the type of x (V13)",
                                .infer = infer_scan,
                                .work = work_first_operand};
const InstructionClass kTopK = {.name = "TopK",
                                .operands = {{"x", "[..]"}},
                                .results = {"values", "indices"},
                                .rule = "x with k elements on `axis`; indices are i64 (V13)",
                                .infer = infer_top_k,
                                .work = work_first_operand};

}  // namespace classes
}  // namespace bcai::vm
