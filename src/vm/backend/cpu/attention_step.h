// SPDX-License-Identifier: Apache-2.0
// A decoding step: few queries of one kv head against keys and values that are read once, where
// they are. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm {

// Most queries of a step.
inline constexpr int kStepRows = 4;
// Keys whose scores grow side by side.
inline constexpr int64_t kStepKeys = 32;

// Queries or scores, sums or scores: `rows` rows, `stride` floats apart.
template <typename T>
struct StepRows {
  T* data;
  ptrdiff_t stride;
};

#if defined(__AVX2__)
inline constexpr bool kStepsInPlace = true;

// Column i of eight rows becomes vector i. Halves of eight lanes: their shuffles stay within 128
// bits, of which the processor does two at a time; those over sixteen lanes, one.
BCAI_INLINE void transpose_eight(const float* const* rows, int64_t at, __m256 (&x)[8]) {
  unroll<2>([&](auto half) BCAI_LAMBDA {
    __m256 r[4];
    unroll<4>([&](auto i) BCAI_LAMBDA {
      const auto low = _mm_loadu_ps(rows[i.value] + at + 4 * half.value);
      const auto high = _mm_loadu_ps(rows[i.value + 4] + at + 4 * half.value);
      r[i.value] = _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
    });
    const auto a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpacklo_ps(r[2], r[3]);
    const auto c = _mm256_unpackhi_ps(r[0], r[1]), d = _mm256_unpackhi_ps(r[2], r[3]);
    x[4 * half.value] = _mm256_shuffle_ps(a, b, 0x44);
    x[4 * half.value + 1] = _mm256_shuffle_ps(a, b, 0xee);
    x[4 * half.value + 2] = _mm256_shuffle_ps(c, d, 0x44);
    x[4 * half.value + 3] = _mm256_shuffle_ps(c, d, 0xee);
  });
}

// Scores of 8 * kGroups keys; `size` is a multiple of 8. Meanwhile the rows from `next` on, which
// need not be there, come into L2, few at a time: more would hold up the loads behind them.
template <int kRows, int kGroups>
BCAI_INLINE void step_scores(const float* const* keys, int64_t size, StepRows<const float> next,
                             StepRows<const float> q, StepRows<float> scores) {
  __m256 sum[kGroups][kRows];
  for (auto& group : sum) {
    for (auto& row : group) row = _mm256_setzero_ps();
  }
  for (int64_t d = 0; d < size; d += 8) {
    unroll<kGroups>([&](auto g) BCAI_LAMBDA {
      unroll<4>([&](auto r) BCAI_LAMBDA {
        const int64_t row = 8 * g.value + 2 * r.value + d / 8 % 2;
        __builtin_prefetch(next.data + row * next.stride + d / 16 * 16, 0, 2);
      });
      __m256 x[8];
      transpose_eight(keys + 8 * g.value, d, x);
      unroll<8>([&](auto i) BCAI_LAMBDA {
        unroll<kRows>([&](auto r) BCAI_LAMBDA {
          const auto factor = _mm256_set1_ps(q.data[r.value * q.stride + d + i.value]);
          sum[g.value][r.value] = _mm256_fmadd_ps(factor, x[i.value], sum[g.value][r.value]);
        });
      });
    });
  }
  unroll<kGroups>([&](auto g) BCAI_LAMBDA {
    unroll<kRows>([&](auto r) BCAI_LAMBDA {
      _mm256_storeu_ps(scores.data + r.value * scores.stride + 8 * g.value, sum[g.value][r.value]);
    });
  });
}

// The products of kRows queries with `count` keys, at most kStepKeys, of which kStepKeys more may
// follow. `scores` has room for kStepKeys in each row.
template <class S, int kRows>
void step_keys(const float* k, ptrdiff_t stride, int64_t count, int64_t size,
               StepRows<const float> q, StepRows<float> scores) {
  const float* keys[kStepKeys];
  for (int64_t j = 0; j < kStepKeys; ++j) keys[j] = k + (j < count ? j : count - 1) * stride;
  constexpr int kGroups = kRows == 1 ? 4 : 2;
  for (int64_t j = 0; j < count; j += 8 * kGroups) {
    step_scores<kRows, kGroups>(keys + j, size, {k + (j + kStepKeys) * stride, stride}, q,
                                {scores.data + j, scores.stride});
  }
}
#else
inline constexpr bool kStepsInPlace = false;

template <class S, int kRows>
void step_keys(const float*, ptrdiff_t, int64_t, int64_t, StepRows<const float>, StepRows<float>) {}
#endif

// kVectors vectors of the sums go on over `count` values. Meanwhile those kStepKeys behind them
// come into L2.
template <class S, int kRows, int kVectors, class Part>
BCAI_INLINE void step_columns(const float* v, ptrdiff_t stride, int64_t count,
                              StepRows<const float> scores, StepRows<float> sums, Part part) {
  typename S::F32 sum[kRows][kVectors];
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      sum[r.value][j.value] = part.load(sums.data + r.value * sums.stride + j.value * S::kLanes);
    });
  });
  for (int64_t key = 0; key < count; ++key, v += stride) {
    typename S::F32 x[kVectors];
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      x[j.value] = part.load(v + j.value * S::kLanes);
      if constexpr (j.value * S::kLanes % 16 == 0) {
        __builtin_prefetch(v + kStepKeys * stride + j.value * S::kLanes, 0, 2);
      }
    });
    unroll<kRows>([&](auto r) BCAI_LAMBDA {
      const auto factor = S::set(scores.data[r.value * scores.stride + key]);
      unroll<kVectors>([&](auto j) BCAI_LAMBDA {
        sum[r.value][j.value] = S::fma(factor, x[j.value], sum[r.value][j.value]);
      });
    });
  }
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      part.store(sums.data + r.value * sums.stride + j.value * S::kLanes, sum[r.value][j.value]);
    });
  });
}

// The sums of kRows rows go on over `count` values of `size` floats, in order.
template <class S, int kRows>
void step_values(const float* v, ptrdiff_t stride, int64_t count, int64_t size,
                 StepRows<const float> scores, StepRows<float> sums) {
  constexpr int kVectors = S::kLanes == 16 || kRows == 1 ? 4 : 2;
  int64_t d = 0;
  for (; d + kVectors * S::kLanes <= size; d += kVectors * S::kLanes) {
    step_columns<S, kRows, kVectors>(v + d, stride, count, scores, {sums.data + d, sums.stride},
                                     Whole<S>{});
  }
  for_vectors<S>(size - d, [&](int64_t i, auto part) BCAI_LAMBDA {
    step_columns<S, kRows, 1>(v + d + i, stride, count, scores, {sums.data + d + i, sums.stride},
                              part);
  });
}

}  // namespace bcai::vm
