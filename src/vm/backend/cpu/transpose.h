// SPDX-License-Identifier: Apache-2.0
// Copies and transposes of f32 matrices into the kernels' layouts. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/simd.h"

namespace bcai::vm {

// The lanes of a and b in turn: a0 b0 a1 b1 ..., the first and the second half of them.
#if defined(__AVX512F__)
BCAI_INLINE void interleave(__m512 a, __m512 b, __m512& low, __m512& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  low = _mm512_permutex2var_ps(a, first, b);
  high = _mm512_permutex2var_ps(a, second, b);
}
#elif defined(__AVX2__)
BCAI_INLINE void interleave(__m256 a, __m256 b, __m256& low, __m256& high) {
  const __m256 even = _mm256_unpacklo_ps(a, b);
  const __m256 odd = _mm256_unpackhi_ps(a, b);
  low = _mm256_permute2f128_ps(even, odd, 0x20);
  high = _mm256_permute2f128_ps(even, odd, 0x31);
}
#else
BCAI_INLINE void interleave(Portable::F32 a, Portable::F32 b, Portable::F32& low,
                            Portable::F32& high) {
  low = {{a.lane[0], b.lane[0], a.lane[1], b.lane[1]}};
  high = {{a.lane[2], b.lane[2], a.lane[3], b.lane[3]}};
}
#endif

// Transposes kLanes vectors. Interleaving vector i with vector i + kLanes / 2 rotates the bits of
// an element's address (vector, lane) by one; log2(kLanes) of them exchange the two halves.
template <class S>
BCAI_INLINE void transpose_lanes(typename S::F32 (&x)[S::kLanes]) {
  constexpr int kStages = S::kLanes == 16 ? 4 : S::kLanes == 8 ? 3 : 2;
  unroll<kStages>([&](auto) BCAI_LAMBDA {
    typename S::F32 y[S::kLanes];
    unroll<S::kLanes / 2>([&](auto i) BCAI_LAMBDA {
      interleave(x[i.value], x[i.value + S::kLanes / 2], y[2 * i.value], y[2 * i.value + 1]);
    });
    unroll<S::kLanes>([&](auto i) BCAI_LAMBDA { x[i.value] = y[i.value]; });
  });
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns.
template <class S>
void transpose(const float* from, ptrdiff_t from_stride, int64_t rows, int64_t columns, float* to,
               ptrdiff_t to_stride) {
  constexpr int kLanes = S::kLanes;
  for (int64_t i = 0; i < rows; i += kLanes) {
    const int64_t valid_rows = rows - i < kLanes ? rows - i : kLanes;
    for (int64_t j = 0; j < columns; j += kLanes) {
      const int64_t valid_columns = columns - j < kLanes ? columns - j : kLanes;
      const float* source = from + i * from_stride + j;
      float* target = to + j * to_stride + i;
      typename S::F32 x[kLanes];
      if (valid_rows == kLanes && valid_columns == kLanes) {
        unroll<kLanes>([&](auto r)
                           BCAI_LAMBDA { x[r.value] = S::load(source + r.value * from_stride); });
        transpose_lanes<S>(x);
        unroll<kLanes>([&](auto r)
                           BCAI_LAMBDA { S::store(target + r.value * to_stride, x[r.value]); });
        continue;
      }
      unroll<kLanes>([&](auto r) BCAI_LAMBDA {
        x[r.value] = r.value < valid_rows
                         ? S::load_partial(source + r.value * from_stride, valid_columns)
                         : S::set(0.0f);
      });
      transpose_lanes<S>(x);
      unroll<kLanes>([&](auto r) BCAI_LAMBDA {
        if (r.value >= valid_columns) return;
        S::store_partial(target + r.value * to_stride, x[r.value], valid_rows);
      });
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
