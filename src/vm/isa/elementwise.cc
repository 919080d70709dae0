// SPDX-License-Identifier: Apache-2.0
// One result element for each element, after broadcasting.
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

std::vector<Type> infer_unary(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  if (view.opcode == Opcode::kClamp) {
    judgement.require(float_of(view, Attr::kMin) <= float_of(view, Attr::kMax), "V19",
                      "min {} is above max {}", float_of(view, Attr::kMin),
                      float_of(view, Attr::kMax));
  }
  return {{x.dtype, x.shape}};
}

std::vector<Type> infer_predicate(const InstructionView& view, Judgement&) {
  return {{DType::kBool, operand(view, 0).shape}};
}

std::vector<Type> infer_binary(const InstructionView& view, Judgement& judgement) {
  Shape shape;
  if (!broadcast(operand(view, 0).shape, operand(view, 1).shape, &shape, judgement)) return {};
  return {{operand(view, 0).dtype, shape}};
}

std::vector<Type> infer_compare(const InstructionView& view, Judgement& judgement) {
  std::vector<Type> types = infer_binary(view, judgement);
  for (Type& type : types) type.dtype = DType::kBool;
  return types;
}

std::vector<Type> infer_select(const InstructionView& view, Judgement& judgement) {
  Shape values;
  Shape shape;
  if (!require_dtype(view, 0, kBoolOnly, judgement) ||
      !broadcast(operand(view, 1).shape, operand(view, 2).shape, &values, judgement) ||
      !broadcast(operand(view, 0).shape, values, &shape, judgement)) {
    return {};
  }
  return {{operand(view, 1).dtype, shape}};
}

Dim work_result(const InstructionView& view) {
  Judgement ignored({});
  Shape shape = operand(view, 0).shape;
  for (size_t i = 1; i < view.operands.size(); ++i) {
    Shape next;
    if (!broadcast(shape, operand(view, i).shape, &next, ignored)) return Dim::invalid();
    shape = next;
  }
  return shape.elements();
}

}  // namespace

namespace classes {

const InstructionClass kElementwiseUnary = {.name = "ElementwiseUnary",
                                            .operands = {{"x", "[..]"}},
                                            .results = {"y"},
                                            .rule = "the type of x",
                                            .infer = infer_unary,
                                            .work = work_first_operand};
const InstructionClass kElementwisePredicate = {.name = "ElementwisePredicate",
                                                .operands = {{"x", "[..]"}},
                                                .results = {"y"},
                                                .rule = "bool of the shape of x",
                                                .infer = infer_predicate,
                                                .work = work_first_operand};
const InstructionClass kElementwiseBinary = {.name = "ElementwiseBinary",
                                             .operands = {{"a", "[..]"}, {"b", "[..]"}},
                                             .results = {"y"},
                                             .rule = "a and b broadcast (V11)",
                                             .infer = infer_binary,
                                             .work = work_result};
const InstructionClass kElementwiseCompare = {.name = "ElementwiseCompare",
                                              .operands = {{"a", "[..]"}, {"b", "[..]"}},
                                              .results = {"y"},
                                              .rule = "bool; a and b broadcast (V11)",
                                              .infer = infer_compare,
                                              .work = work_result};
const InstructionClass kSelect = {
    .name = "Select",
    .operands = {{"condition", "bool[..]", false, true}, {"a", "[..]"}, {"b", "[..]"}},
    .results = {"y"},
    .rule = "all three broadcast (V11)",
    .infer = infer_select,
    .work = work_result};

}  // namespace classes
}  // namespace bcai::vm
