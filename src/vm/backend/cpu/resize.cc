// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/resize.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ResizeKernels, kResizeKernels)

const ResizeKernels& resize_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kResizeKernels);
}

int64_t resize_units(const ResizeArgs& args) {
  if (args.out[2] == 0 || args.channels == 0) return 0;
  return args.batch * args.out[0] * args.out[1];
}

int64_t resize_scratch_bytes(const ResizeArgs&) { return 0; }

}  // namespace bcai::vm
