// SPDX-License-Identifier: Apache-2.0
// Resampling of images x[batch, .., channels] along up to three axes. A result lies between two
// samples of each axis: along the last axis first, fma(b - a, weight, a); a weight of 0 is the
// first sample as it is. Images whose channels lie outermost are a batch of images of one channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

// The samples on both sides of a result along one axis, and the weight of the second.
struct ResizeBlend {
  int64_t low;
  int64_t high;
  float weight;
};

struct ResizeArgs {
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t in[3] = {1, 1, 1};  // samples of x along each axis, those that are missing in front
  int64_t out[3] = {1, 1, 1};
  const ResizeBlend* blends[3] = {};  // of each result along each axis
  const float* x = nullptr;
  float* y = nullptr;  // does not overlap x
};

// Independent pieces: lines of the result.
int64_t resize_units(const ResizeArgs& args);
int64_t resize_scratch_bytes(const ResizeArgs& args);

struct ResizeKernels {
  void (*run)(const ResizeArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const ResizeKernels& resize_kernels(SimdLevel level);

}  // namespace bcai::vm
