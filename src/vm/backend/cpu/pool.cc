// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/pool.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(PoolKernels, kPoolKernels)

const PoolKernels& pool_kernels(SimdLevel level) { return BCAI_OF_SIMD_LEVEL(level, kPoolKernels); }

int64_t pool_units(const PoolArgs& args) { return args.batch * args.output_height; }

int64_t pool_scratch_bytes(const PoolArgs&) { return 0; }

}  // namespace bcai::vm
