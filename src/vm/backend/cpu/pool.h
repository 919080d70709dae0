// SPDX-License-Identifier: Apache-2.0
// Pooling of NHWC images in f32 with the bits of numeric profile n1. The taps of a window are those
// inside the input, in ascending (kh, kw). Maximum by rule R5 (a NaN wins; a zero is +0, and
// so is that of no taps). Average: their sum by rule R4, then one IEEE division by their number, or
// by that of all taps of the kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

enum class PoolKind : uint8_t { kMaximum, kAverage, kAverageWithPadding };

struct PoolArgs {
  PoolKind kind = PoolKind::kMaximum;
  int64_t batch = 1;
  int64_t height = 1;  // of the input
  int64_t width = 1;
  int64_t channels = 1;
  int64_t output_height = 1;
  int64_t output_width = 1;
  int64_t kernel_height = 1;
  int64_t kernel_width = 1;
  int64_t stride_height = 1;
  int64_t stride_width = 1;
  int64_t dilation_height = 1;
  int64_t dilation_width = 1;
  int64_t pad_top = 0;
  int64_t pad_left = 0;
  const float* input = nullptr;
  float* output = nullptr;
};

// Independent pieces: lines of the output.
int64_t pool_units(const PoolArgs& args);

// What one call of run() needs.
int64_t pool_scratch_bytes(const PoolArgs& args);

struct PoolKernels {
  void (*run)(const PoolArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const PoolKernels& pool_kernels(SimdLevel level);

}  // namespace bcai::vm
