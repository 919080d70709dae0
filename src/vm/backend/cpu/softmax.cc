// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/softmax.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(SoftmaxKernels, kSoftmaxKernels)

const SoftmaxKernels& softmax_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kSoftmaxKernels);
}

int64_t softmax_units(const SoftmaxArgs& args) {
  if (args.inner == 1) return args.outer;
  return args.outer * ((args.inner + kSoftmaxColumns - 1) / kSoftmaxColumns);
}

int64_t softmax_scratch_bytes(const SoftmaxArgs&) { return 0; }

}  // namespace bcai::vm
