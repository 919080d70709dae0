// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

std::vector<Type> infer_softmax(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  if (!require_axis(view, x.shape.rank(), judgement)) return {};
  const auto axis = static_cast<size_t>(int_of(view, Attr::kAxis));
  judgement.require(judgement.at_most(Dim(1), x.shape[axis]), "V13", "axis {} may be empty", axis);
  return {{x.dtype, x.shape}};
}

std::vector<Type> infer_last_axis(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const size_t rank = x.shape.rank();
  if (!judgement.require(rank >= 1, "V13", "x has no axis")) return {};
  const Dim& width = x.shape[rank - 1];
  judgement.require(judgement.at_most(Dim(1), width), "V13", "the last axis may be empty");
  for (size_t i = 1; i < view.operands.size(); ++i) {
    if (has_operand(view, i)) require_shape(view, i, {width}, judgement);
  }
  return {{x.dtype, x.shape}};
}

std::vector<Type> infer_channels(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  if (!judgement.require(x.shape.rank() >= 2, "V13", "x is {}, expected [N,C,..]",
                         judgement.text(x))) {
    return {};
  }
  for (size_t i = 1; i < view.operands.size(); ++i) {
    if (has_operand(view, i)) require_shape(view, i, {x.shape[1]}, judgement);
  }
  return {{x.dtype, x.shape}};
}

std::vector<Type> infer_group_norm(const InstructionView& view, Judgement& judgement) {
  std::vector<Type> types = infer_channels(view, judgement);
  if (types.empty()) return {};
  const Shape& x = operand(view, 0).shape;
  const int64_t groups = int_of(view, Attr::kGroups);
  judgement.require(x[1].is_constant() && x[1].value() % groups == 0, "V13",
                    "{} channels do not divide into {} groups", judgement.text(x[1]), groups);
  judgement.require(judgement.at_most(Dim(1), x.elements(1, x.rank())), "V13",
                    "a group may be empty");
  return types;
}

}  // namespace

namespace classes {

const InstructionClass kSoftmax = {.name = "Softmax",
                                   .operands = {{"x", "[..]"}},
                                   .results = {"y"},
                                   .rule = "the type of x; `axis` not empty (V13)",
                                   .infer = infer_softmax,
                                   .work = work_first_operand};
const InstructionClass kLayerNorm = {
    .name = "LayerNorm",
    .operands = {{"x", "[..,D]"}, {"scale", "[D]", true}, {"bias", "[D]", true}},
    .results = {"y"},
    .rule = "the type of x; the last axis not empty (V13)",
    .infer = infer_last_axis,
    .work = work_first_operand};
const InstructionClass kRMSNorm = {.name = "RMSNorm",
                                   .operands = {{"x", "[..,D]"}, {"scale", "[D]", true}},
                                   .results = {"y"},
                                   .rule = "the type of x; the last axis not empty (V13)",
                                   .infer = infer_last_axis,
                                   .work = work_first_operand};
const InstructionClass kBatchNorm = {.name = "BatchNorm",
                                     .operands = {{"x", "[N,C,..]"},
                                                  {"scale", "[C]"},
                                                  {"bias", "[C]"},
                                                  {"mean", "[C]"},
                                                  {"variance", "[C]"}},
                                     .results = {"y"},
                                     .rule = "the type of x (V13)",
                                     .infer = infer_channels,
                                     .work = work_first_operand};
const InstructionClass kGroupNorm = {
    .name = "GroupNorm",
    .operands = {{"x", "[N,C,..]"}, {"scale", "[C]"}, {"bias", "[C]"}},
    .results = {"y"},
    .rule = "the type of x; C divides into the groups (V13)",
    .infer = infer_group_norm,
    .work = work_first_operand};

}  // namespace classes
}  // namespace bcai::vm
