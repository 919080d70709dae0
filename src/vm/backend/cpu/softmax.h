// SPDX-License-Identifier: Apache-2.0
// Softmax and log-softmax along one axis of x[outer, n, inner] (rule R8): the maximum m, the sum s
// of exp(x - m) by rule R4, then exp(x - m) / s, or (x - m) - log(s). A row with a NaN or with
// +infinity, or of -infinity alone, is NaN throughout.
//
// As all kernels: no allocation, no thread, no exception.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

// The arrays stay the caller's; y may be x. n >= 1.
struct SoftmaxArgs {
  const float* x;
  float* y;
  int64_t outer;
  int64_t n;
  int64_t inner = 1;
  bool log = false;
};

struct SoftmaxKernels {
  // A unit is a row where inner is 1, else up to 16 neighbouring columns. Needs no scratch.
  void (*run)(const SoftmaxArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

inline constexpr int64_t kSoftmaxColumns = 16;

int64_t softmax_units(const SoftmaxArgs& args);
int64_t softmax_scratch_bytes(const SoftmaxArgs& args);
const SoftmaxKernels& softmax_kernels(SimdLevel level);

}  // namespace bcai::vm
