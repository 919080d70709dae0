// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {

const float* PackedWeights::get(const Operand& weight, int layout, int64_t floats,
                                const std::function<void(float*)>& pack) {
  Tensor& packed = packed_[{weight.buffer, weight.offset, layout, floats}];
  if (packed.elements() != floats || packed.rank() == 0) {
    packed = Tensor(DType::kF32, {floats});
    pack(packed.data<float>());
    bytes_ += packed.byte_count();
  }
  return packed.data<float>();
}

}  // namespace bcai::vm
