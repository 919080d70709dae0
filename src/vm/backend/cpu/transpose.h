// SPDX-License-Identifier: Apache-2.0
// Copies and transposes of f32 matrices into the kernels' layouts. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns.
template <class S>
void transpose(const float* from, ptrdiff_t from_stride, int64_t rows, int64_t columns, float* to,
               ptrdiff_t to_stride) {
  for (int64_t i0 = 0; i0 < rows; i0 += 16) {
    const int64_t i1 = i0 + 16 < rows ? i0 + 16 : rows;
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t i = i0; i < i1; ++i) to[j * to_stride + i] = from[i * from_stride + j];
    }
  }
}

template <class S>
void copy(const float* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) S::store(to + i, S::load(from + i));
  if (i < n) S::store_partial(to + i, S::load_partial(from + i, n - i), n - i);
}

template <class S>
void fill_zero(float* to, int64_t n) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) S::store(to + i, S::set(0.0f));
  if (i < n) S::store_partial(to + i, S::set(0.0f), n - i);
}

}  // namespace bcai::vm
