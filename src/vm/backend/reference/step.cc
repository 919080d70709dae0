// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/step.h"

namespace bcai::vm::reference {

std::vector<int64_t> Step::get_ints(Attr attribute, size_t count, int64_t otherwise) const {
  const std::vector<int64_t>& given = ints_of(view, attribute);
  return given.empty() ? std::vector<int64_t>(count, otherwise) : given;
}

std::vector<int64_t> strides_of(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t axis = dims.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= dims[axis];
  }
  return strides;
}

std::vector<int64_t> broadcast_strides(const std::vector<int64_t>& dims, size_t rank) {
  const std::vector<int64_t> own = strides_of(dims);
  std::vector<int64_t> strides(rank, 0);
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] != 1) strides[axis + rank - dims.size()] = own[axis];
  }
  return strides;
}

bool next_index(std::vector<int64_t>& index, const std::vector<int64_t>& dims) {
  for (size_t axis = dims.size(); axis-- > 0;) {
    if (++index[axis] < dims[axis]) return true;
    index[axis] = 0;
  }
  return false;
}

int64_t offset_of(const std::vector<int64_t>& index, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * strides[axis];
  return offset;
}

AxisSplit split_at(const std::vector<int64_t>& dims, size_t axis) {
  AxisSplit split;
  for (size_t i = 0; i < axis; ++i) split.outer *= dims[i];
  split.extent = dims[axis];
  for (size_t i = axis + 1; i < dims.size(); ++i) split.inner *= dims[i];
  return split;
}

Kernel kernel_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::kFill: return fill;
    case Opcode::kIota: return iota;
    case Opcode::kCast: return cast;
    case Opcode::kReshape: return reshape;
    case Opcode::kTranspose: return transpose;
    case Opcode::kBroadcast: return broadcast;
    case Opcode::kSlice: return slice;
    case Opcode::kConcat: return concat;
    case Opcode::kSplit: return split;
    case Opcode::kPad: return pad;
    case Opcode::kReverse: return reverse;
    case Opcode::kIsNan: return is_nan;
    case Opcode::kCompare: return compare;
    case Opcode::kSelect: return select;
    case Opcode::kArgMax:
    case Opcode::kArgMin: return arg_reduce;
    case Opcode::kCumSum: return cum_sum;
    case Opcode::kTopK: return top_k;
    case Opcode::kTensorMatMul: return matmul;
    case Opcode::kConvolutionForward: return convolution;
    case Opcode::kConvolutionTranspose: return convolution_transpose;
    case Opcode::kMaxPool:
    case Opcode::kAveragePool: return pool;
    case Opcode::kResize: return resize;
    case Opcode::kSoftmax: return softmax;
    case Opcode::kLayerNorm: return layer_norm;
    case Opcode::kRMSNorm: return rms_norm;
    case Opcode::kBatchNormInfer: return batch_norm;
    case Opcode::kGroupNorm: return group_norm;
    case Opcode::kTransformerAttention: return attention;
    case Opcode::kRotaryEmbed: return rotary;
    case Opcode::kKVCacheAppend: return cache_append;
    case Opcode::kKVCacheRead: return cache_read;
    case Opcode::kEmbeddingLookup:
    case Opcode::kGather: return gather;
    case Opcode::kGatherElements: return gather_elements;
    case Opcode::kLSTM: return lstm;
    case Opcode::kGRU: return gru;
    default: break;
  }
  const std::string_view kind = info_of(opcode).instruction_class->name;
  if (kind == "ElementwiseUnary") return unary;
  if (kind == "ElementwiseBinary") return binary;
  if (kind == "Reduce") return reduce;
  return nullptr;
}

}  // namespace bcai::vm::reference
