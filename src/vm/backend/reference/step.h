// SPDX-License-Identifier: Apache-2.0
// The reference backend defines what each instruction means: the plainest loop that computes it,
// one thread, one element at a time, in the order docs/formats/numerics_n1.md states. Every other
// backend must give the same bits.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "vm/isa/instruction.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm::reference {

// One instruction of a bound program with its tensors. Operands that are absent are null; results
// are allocated and zero.
struct Step {
  const InstructionView& view;
  std::span<const Tensor* const> operands;
  std::span<Tensor> results;

  const Tensor& operand(size_t index) const { return *operands[index]; }
  bool has(size_t index) const { return index < operands.size() && operands[index] != nullptr; }
  int64_t get_int(Attr attribute) const { return int_of(view, attribute); }
  float get_float(Attr attribute) const { return float_of(view, attribute); }
  // One number for each of `count` axes; the default where the list is empty.
  std::vector<int64_t> get_ints(Attr attribute, size_t count, int64_t otherwise) const;
};

// An error is a trap: an index outside, which data alone decides.
using Kernel = Result<void> (*)(const Step&);

// Of every opcode but those of control flow, Param and Const.
Kernel kernel_of(Opcode opcode);

// Calls `body(T())` with the C++ type of a dtype that arithmetic is defined for.
template <typename Body>
auto with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::kI64: return body(int64_t());
    case DType::kI32: return body(int32_t());
    case DType::kI8: return body(int8_t());
    case DType::kU8:
    case DType::kBool: return body(uint8_t());
    default: return body(float());
  }
}

// Row-major strides, in elements.
std::vector<int64_t> strides_of(const std::vector<int64_t>& dims);
// Strides of a tensor broadcast to `rank` axes: 0 where it repeats.
std::vector<int64_t> broadcast_strides(const std::vector<int64_t>& dims, size_t rank);
// The next multi-index in row-major order; false after the last.
bool next_index(std::vector<int64_t>& index, const std::vector<int64_t>& dims);
int64_t offset_of(const std::vector<int64_t>& index, const std::vector<int64_t>& strides);

// dims as [outer, axis, inner].
struct AxisSplit {
  int64_t outer = 1;
  int64_t extent = 1;
  int64_t inner = 1;
};
AxisSplit split_at(const std::vector<int64_t>& dims, size_t axis);

// One function for each instruction, named as the instruction.
#define BCAI_REFERENCE(name) Result<void> name(const Step& step)
// movement.cc
BCAI_REFERENCE(fill);
BCAI_REFERENCE(iota);
BCAI_REFERENCE(cast);
BCAI_REFERENCE(reshape);
BCAI_REFERENCE(transpose);
BCAI_REFERENCE(broadcast);
BCAI_REFERENCE(slice);
BCAI_REFERENCE(concat);
BCAI_REFERENCE(split);
BCAI_REFERENCE(pad);
BCAI_REFERENCE(reverse);
// elementwise.cc
BCAI_REFERENCE(unary);
BCAI_REFERENCE(is_nan);
BCAI_REFERENCE(binary);
BCAI_REFERENCE(compare);
BCAI_REFERENCE(select);
// reduce.cc
BCAI_REFERENCE(reduce);
BCAI_REFERENCE(arg_reduce);
BCAI_REFERENCE(cum_sum);
BCAI_REFERENCE(top_k);
// matmul.cc
BCAI_REFERENCE(matmul);
// convolution.cc
BCAI_REFERENCE(convolution);
BCAI_REFERENCE(convolution_transpose);
BCAI_REFERENCE(pool);
BCAI_REFERENCE(resize);
// normalize.cc
BCAI_REFERENCE(softmax);
BCAI_REFERENCE(layer_norm);
BCAI_REFERENCE(rms_norm);
BCAI_REFERENCE(batch_norm);
BCAI_REFERENCE(group_norm);
// transformer.cc
BCAI_REFERENCE(attention);
BCAI_REFERENCE(rotary);
BCAI_REFERENCE(cache_append);
BCAI_REFERENCE(cache_read);
// gather.cc
BCAI_REFERENCE(gather);
BCAI_REFERENCE(gather_elements);
// recurrent.cc
BCAI_REFERENCE(lstm);
BCAI_REFERENCE(gru);
#undef BCAI_REFERENCE

}  // namespace bcai::vm::reference
