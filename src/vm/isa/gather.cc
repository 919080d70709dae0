// SPDX-License-Identifier: Apache-2.0
// By index. Indices are data, so they are checked when the program runs.
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

bool require_gather(const InstructionView& view, Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  if (!require_axis(view, x.rank(), judgement)) return false;
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  return require_dtype(view, 1, kIndex, judgement) &&
         judgement.require(judgement.at_most(Dim(1), x[axis]), "V15", "axis {} may be empty", axis);
}

std::vector<Type> infer_gather(const InstructionView& view, Judgement& judgement) {
  if (!require_gather(view, judgement)) return {};
  const Type& x = operand(view, 0);
  const Shape& indices = operand(view, 1).shape;
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  if (!judgement.require(x.shape.rank() - 1 + indices.rank() <= kRankMax, "V7",
                         "the result has rank {}", x.shape.rank() - 1 + indices.rank())) {
    return {};
  }
  Type result{x.dtype, {}};
  for (size_t i = 0; i < axis; ++i) result.shape.push_back(x.shape[i]);
  for (const Dim& dim : indices.dims()) result.shape.push_back(dim);
  for (size_t i = axis + 1; i < x.shape.rank(); ++i) result.shape.push_back(x.shape[i]);
  return {result};
}

std::vector<Type> infer_elements(const InstructionView& view, Judgement& judgement) {
  if (!require_gather(view, judgement)) return {};
  const Type& x = operand(view, 0);
  const Shape& indices = operand(view, 1).shape;
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  if (!require_rank(view, 1, x.shape.rank(), judgement)) return {};
  for (size_t i = 0; i < x.shape.rank(); ++i) {
    judgement.require(i == axis || judgement.at_most(indices[i], x.shape[i]), "V15",
                      "indices are {}, past axis {} of {}", judgement.text(indices), i,
                      judgement.text(x));
  }
  return {{x.dtype, indices}};
}

}  // namespace

namespace classes {

const InstructionClass kGather = {
    .name = "Gather",
    .operands = {{"x", "[..]"}, {"indices", "i32 or i64 [..]", false, true}},
    .results = {"y"},
    .rule = "x with `axis` replaced by the axes of indices (V15)",
    .infer = infer_gather,
    .work = work_nothing};
const InstructionClass kGatherElements = {
    .name = "GatherElements",
    .operands = {{"x", "[..]"}, {"indices", "i32 or i64, the rank of x", false, true}},
    .results = {"y"},
    .rule = "the shape of indices, which exceeds x on no other axis (V15)",
    .infer = infer_elements,
    .work = work_nothing};

}  // namespace classes
}  // namespace bcai::vm
