// SPDX-License-Identifier: Apache-2.0
// LayerNorm and RMSNorm over the last axis of x[rows, n]; GroupNorm and BatchNorm with numbers of
// each channel.
//   LayerNorm: mean = sum(x) / n; variance = sum((x - mean)^2) / n; scale = 1 / sqrt(variance +
//   eps)
//              y = fma((x - mean) * scale, gamma, beta)
//   RMSNorm:   scale = 1 / sqrt(sum(x^2) / n + eps); y = (x * scale) * gamma
//   GroupNorm: LayerNorm of each group of channels, gamma and beta by channel
//   BatchNorm: y = fma(x - mean, gamma * (1 / sqrt(variance + eps)), beta), all by channel
// Sums are by rule R4, the squares fused into them; each other operation rounds. Without gamma or
// beta, what it would do is left out. With a residual, x is x + residual, rounded.
//
// As all kernels: no allocation, no thread, no exception.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

// The arrays stay the caller's; y may be x or the residual. n >= 1.
struct NormArgs {
  const float* x;
  const float* residual = nullptr;  // [rows, n]
  float* y;
  const float* gamma = nullptr;  // [n]
  const float* beta = nullptr;   // [n], LayerNorm's alone
  float* mean = nullptr;         // [rows], written if given, LayerNorm's alone
  float* scale = nullptr;        // [rows], written if given
  int64_t rows;
  int64_t n;
  float epsilon;
};

// x[batch, channels, inner], or with an inner of 1, x[rows, channels]. The arrays stay the
// caller's; y may be x.
struct ChannelNormArgs {
  const float* x;
  float* y;
  const float* gamma;  // [channels], as all that follow
  const float* beta;
  const float* mean;      // BatchNorm's alone
  const float* variance;  // BatchNorm's alone
  int64_t batch;
  int64_t channels;
  int64_t inner;
  int64_t groups = 1;  // GroupNorm's alone; divides the channels
  float epsilon;
};

struct NormKernels {
  // Units are rows. They need no scratch.
  void (*layer_norm)(const NormArgs& args, int64_t begin, int64_t end, std::byte* scratch);
  void (*rms_norm)(const NormArgs& args, int64_t begin, int64_t end, std::byte* scratch);
  // Units are groups, and lines of a channel or kBatchNormRows rows of all channels.
  void (*group_norm)(const ChannelNormArgs& args, int64_t begin, int64_t end, std::byte* scratch);
  void (*batch_norm)(const ChannelNormArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

inline constexpr int64_t kBatchNormRows = 64;

int64_t group_norm_units(const ChannelNormArgs& args);
int64_t batch_norm_units(const ChannelNormArgs& args);
int64_t channel_norm_scratch_bytes(const ChannelNormArgs& args);
int64_t norm_units(const NormArgs& args);
int64_t norm_scratch_bytes(const NormArgs& args);
const NormKernels& norm_kernels(SimdLevel level);

}  // namespace bcai::vm
