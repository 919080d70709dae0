// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/norm.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(NormKernels, kNormKernels)

const NormKernels& norm_kernels(SimdLevel level) { return BCAI_OF_SIMD_LEVEL(level, kNormKernels); }

int64_t norm_units(const NormArgs& args) { return args.rows; }

int64_t norm_scratch_bytes(const NormArgs&) { return 0; }

int64_t group_norm_units(const ChannelNormArgs& args) { return args.batch * args.groups; }

int64_t batch_norm_units(const ChannelNormArgs& args) {
  if (args.inner != 1) return args.batch * args.channels;
  return (args.batch + kBatchNormRows - 1) / kBatchNormRows;
}

int64_t channel_norm_scratch_bytes(const ChannelNormArgs&) { return 0; }

}  // namespace bcai::vm
