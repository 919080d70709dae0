// SPDX-License-Identifier: Apache-2.0
// Sum, mean, product, maximum, minimum and argmax over any axes of a row-major tensor. The terms of
// an output are those along the reduced axes, flattened in row-major order; sums and products take
// them by rule R4, so the bits do not depend on where the axes lie. A mean is the sum divided by
// the count as f32. Maximum and minimum are by rule R5. Argmax is the first index of the maximum in
// the flattened order, -0 equal to +0; a NaN counts as the maximum.
//
// As all kernels: no allocation, no thread, no exception.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "vm/numerics/simd_level.h"

namespace bcai::vm {

inline constexpr int kReductionRankMax = 8;

enum class ReductionKind : uint8_t { kSum, kMean, kProduct, kMax, kMin, kArgMax };

struct ReductionAxis {
  int64_t size;
  int64_t stride;  // In elements of x.
};

// The arrays stay the caller's and do not overlap. y is f32, and i64 for argmax, in the order of
// the kept axes.
struct ReductionArgs {
  ReductionKind kind;
  const float* x;
  void* y;
  int kept_rank;
  int reduced_rank;
  ReductionAxis kept[kReductionRankMax];
  ReductionAxis reduced[kReductionRankMax];
};

// Merges neighbouring axes of one sort. kInvalidArgument if there are more than eight dimensions,
// an axis is out of range or not above the one before it, or there is nothing to reduce.
Result<ReductionArgs> reduction_args(ReductionKind kind, const float* x, void* y,
                                     std::span<const int64_t> dims, std::span<const int> axes);

struct ReductionKernels {
  // Units are outputs.
  void (*run)(const ReductionArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

int64_t reduction_units(const ReductionArgs& args);
int64_t reduction_scratch_bytes(const ReductionArgs& args);
const ReductionKernels& reduction_kernels(SimdLevel level);

}  // namespace bcai::vm
