// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

struct MatMulDims {
  Shape batch;
  Dim m, n, k, k_of_b;
};

// False when the ranks are too small or the batch axes do not broadcast.
bool read_dims(const InstructionView& view, MatMulDims* out, Judgement& judgement) {
  const Shape& a = operand(view, 0).shape;
  const Shape& b = operand(view, 1).shape;
  if (!judgement.require(a.rank() >= 2 && b.rank() >= 2, "V12",
                         "a is {} and b is {}, expected at least 2 axes each", judgement.text(a),
                         judgement.text(b))) {
    return false;
  }
  const bool transpose_a = int_of(view, Attr::kTransposeA) != 0;
  const bool transpose_b = int_of(view, Attr::kTransposeB) != 0;
  out->m = a[a.rank() - (transpose_a ? 1 : 2)];
  out->k = a[a.rank() - (transpose_a ? 2 : 1)];
  out->k_of_b = b[b.rank() - (transpose_b ? 1 : 2)];
  out->n = b[b.rank() - (transpose_b ? 2 : 1)];
  return broadcast(Shape(a.dims().first(a.rank() - 2)), Shape(b.dims().first(b.rank() - 2)),
                   &out->batch, judgement);
}

std::vector<Type> infer(const InstructionView& view, Judgement& judgement) {
  MatMulDims dims;
  if (!read_dims(view, &dims, judgement)) return {};
  judgement.require(dims.k == dims.k_of_b, "V12", "a has {} columns, b has {} rows",
                    judgement.text(dims.k), judgement.text(dims.k_of_b));
  if (has_operand(view, 2)) require_shape(view, 2, {dims.n}, judgement);
  Type result{DType::kF32, dims.batch};
  if (!judgement.require(result.shape.rank() + 2 <= kRankMax, "V7", "the result has rank {}",
                         result.shape.rank() + 2)) {
    return {};
  }
  result.shape.push_back(dims.m);
  result.shape.push_back(dims.n);
  return {result};
}

// Multiply-adds, and half of one (a FLOP) for each output: bias and activation.
Dim matmul_work(const InstructionView& view) {
  Judgement ignored({});
  MatMulDims dims;
  if (!read_dims(view, &dims, ignored)) return Dim::invalid();
  const Dim outputs = dims.batch.elements() * dims.m * dims.n;
  return outputs * dims.k + floor_div(outputs + Dim(1), 2);
}

}  // namespace

namespace classes {

const InstructionClass kMatMul = {
    .name = "MatMul",
    .operands = {{"a", "[..,M,K]"}, {"b", "[..,K,N]"}, {"bias", "[N]", true}},
    .results = {"y"},
    .rule = "[..,M,N]; inner dimensions equal, batch dimensions broadcast (V12)",
    .infer = infer,
    .work = matmul_work};

}  // namespace classes
}  // namespace bcai::vm
