// SPDX-License-Identifier: Apache-2.0
// The last three steps of the tree of rule R4, 8 -> 4 -> 2 -> 1, r[i] = r[i] op r[i + h], for the
// two x86 levels. The parameter keeps their inline functions apart. Included by simd_avx*.h alone.
#pragma once

#include <immintrin.h>

namespace bcai::vm {

template <int kLanes>
struct Fold8 {
  struct Sum {
    static BCAI_INLINE __m128 of(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
  };
  struct Product {
    static BCAI_INLINE __m128 of(__m128 a, __m128 b) { return _mm_mul_ps(a, b); }
  };
  struct Largest {
    static BCAI_INLINE __m128 of(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
  };
  struct Smallest {
    static BCAI_INLINE __m128 of(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
  };

  template <typename Operation>
  static BCAI_INLINE float fold(__m256 r) {
    __m128 half = Operation::of(_mm256_castps256_ps128(r), _mm256_extractf128_ps(r, 1));
    half = Operation::of(half, _mm_movehl_ps(half, half));
    half = Operation::of(half, _mm_movehdup_ps(half));
    return _mm_cvtss_f32(half);
  }
};

}  // namespace bcai::vm
