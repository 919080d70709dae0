// SPDX-License-Identifier: Apache-2.0
// The instruction classes: one for each name in the Class column of instructions.def, defined in
// the file of its family.
#pragma once

#include "vm/isa/instruction.h"

namespace bcai::vm::classes {

// data.cc
extern const InstructionClass kParam, kConst, kFill, kIota, kCast;
// shape.cc
extern const InstructionClass kReshape, kTranspose, kBroadcast, kSlice, kConcat, kSplit, kPad,
    kReverse;
// elementwise.cc
extern const InstructionClass kElementwiseUnary, kElementwisePredicate, kElementwiseBinary,
    kElementwiseCompare, kSelect;
// reduce.cc
extern const InstructionClass kReduce, kArgReduce, kScan, kTopK;
// matmul.cc
extern const InstructionClass kMatMul;
// convolution.cc
extern const InstructionClass kConvolution, kConvolutionTranspose, kPool, kResize;
// normalize.cc
extern const InstructionClass kSoftmax, kLayerNorm, kRMSNorm, kBatchNorm, kGroupNorm;
// transformer.cc
extern const InstructionClass kAttention, kRotary, kCacheAppend, kCacheRead, kEmbedding;
// gather.cc
extern const InstructionClass kGather, kGatherElements;
// recurrent.cc
extern const InstructionClass kLSTM, kGRU;
// instruction.cc: regions and calls are the verifier's (vm/verify)
extern const InstructionClass kControl;

}  // namespace bcai::vm::classes

namespace bcai::vm {

// What the rules of several families share. Each refuses in `judgement` and returns false.

// numpy's rule. On success `result` holds the broadcast shape.
bool broadcast(const Shape& a, const Shape& b, Shape* result, Judgement& judgement);
// Whether `shape` broadcasts to exactly `target`.
bool broadcasts_to(const Shape& shape, const Shape& target, Judgement& judgement);
bool require_rank(const InstructionView& view, size_t operand, size_t rank, Judgement& judgement);
bool require_shape(const InstructionView& view, size_t operand, const Shape& expected,
                   Judgement& judgement);
bool require_dtype(const InstructionView& view, size_t operand, DTypeSet dtypes,
                   Judgement& judgement);
bool require_axis(const InstructionView& view, size_t rank, Judgement& judgement);
// Ascending, each once, below rank.
bool require_axes(const std::vector<int64_t>& axes, size_t rank, Judgement& judgement);
// A list with one number for each of `count`, or empty (all `otherwise`).
bool read_ints(const InstructionView& view, Attr attribute, size_t count, int64_t otherwise,
               std::vector<int64_t>* out, Judgement& judgement);

inline const Type& operand(const InstructionView& view, size_t index) {
  return *view.operands[index];
}
inline bool has_operand(const InstructionView& view, size_t index) {
  return index < view.operands.size() && view.operands[index] != nullptr;
}
// Printed as "operand 1 (weight)".
struct OperandText {
  const InstructionView& view;
  size_t index;
};
inline OperandText operand_text(const InstructionView& view, size_t index) { return {view, index}; }
std::string to_text(const OperandText& operand);

// The elements of the first operand, and of the first stated result: the work of most classes.
Dim work_nothing(const InstructionView& view);
Dim work_first_operand(const InstructionView& view);

}  // namespace bcai::vm

template <>
struct fmt::formatter<bcai::vm::OperandText> : fmt::formatter<std::string_view> {
  auto format(const bcai::vm::OperandText& operand, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(to_text(operand), context);
  }
};
