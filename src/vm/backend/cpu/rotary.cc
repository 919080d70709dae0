// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/rotary.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(RotaryKernels, kRotaryKernels)

const RotaryKernels& rotary_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kRotaryKernels);
}

int64_t rotary_units(const RotaryArgs& args) { return args.rows; }

int64_t rotary_scratch_bytes(const RotaryArgs& args) {
  return args.interleaved ? 4 * args.pairs * int64_t{sizeof(float)} : 0;
}

}  // namespace bcai::vm
