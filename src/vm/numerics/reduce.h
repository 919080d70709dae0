// SPDX-License-Identifier: Apache-2.0
// The reduction order of profile n1 (rule R4), as templates over the SIMD vocabulary. n terms are
// cut into blocks of 4096; in a block lane l of 16 takes terms l, l + 16, ... in ascending order,
// starting from the neutral value; the lanes are folded 16 -> 8 -> 4 -> 2 -> 1; the results of the
// blocks are terms of the same rule. So the order depends on n alone.
//
// Contiguous terms fill the vector lanes; terms at a stride are reduced for kLanes neighbours at
// once, each in its own vector lane, which gives every one of them the bits of the contiguous form.
#pragma once

#include <cstdint>

#include "vm/numerics/reduce_block.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm {

// What a sum and a product are: the neutral value, the fold of one vector's lanes or of vectors.
template <typename S>
struct SumFold {
  static constexpr float kNeutral = 0.0f;
  static BCAI_INLINE typename S::F32 of(typename S::F32 a, typename S::F32 b) {
    return S::add(a, b);
  }
  static BCAI_INLINE float lanes(const typename S::F32 (&v)[kReduceLanes / S::kLanes]) {
    return S::sum16(v);
  }
};
template <typename S>
struct ProductFold {
  static constexpr float kNeutral = 1.0f;
  static BCAI_INLINE typename S::F32 of(typename S::F32 a, typename S::F32 b) {
    return S::mul(a, b);
  }
  static BCAI_INLINE float lanes(const typename S::F32 (&v)[kReduceLanes / S::kLanes]) {
    return S::product16(v);
  }
};

// One block of at most 4096 terms. step(lane, i, part) takes terms i, i + 1, ... of the block into
// the lanes of one vector; where part is not whole, only its first lanes are kept.
template <typename S, typename Fold, typename Step>
BCAI_INLINE float reduce_block(int64_t n, Step step) {
  constexpr int kVectors = kReduceLanes / S::kLanes;
  typename S::F32 lanes[kVectors];
  for (auto& lane : lanes) lane = S::set(Fold::kNeutral);
  int64_t i = 0;
  for (; i + kReduceLanes <= n; i += kReduceLanes) {
    for (int v = 0; v < kVectors; ++v) {
      lanes[v] = step(lanes[v], i + v * S::kLanes, Whole<S>{});
    }
  }
  for (int v = 0; v < kVectors; ++v, i += S::kLanes) {
    if (i + S::kLanes <= n) {
      lanes[v] = step(lanes[v], i, Whole<S>{});
    } else if (i < n) {
      const First<S> part{n - i};
      lanes[v] = part.keep(step(lanes[v], i, part), lanes[v]);
    }
  }
  return Fold::lanes(lanes);
}

// The terms [start, start + n) where n is at most 4096 times span; span is a power of 4096, and
// block(start, n) reduces one block.
template <typename S, typename Fold, typename Block>
float reduce_blocks(int64_t start, int64_t n, int64_t span, Block block) {
  if (span == 1) return block(start, n);
  alignas(64) float lanes[kReduceLanes];
  for (auto& lane : lanes) lane = Fold::kNeutral;
  for (int64_t j = 0; j * span < n; ++j) {
    const int64_t left = n - j * span;
    const float term = reduce_blocks<S, Fold>(start + j * span, left < span ? left : span,
                                              span / kReduceBlock, block);
    const float taken = lanes[j & 15];
    lanes[j & 15] = Fold::kNeutral == 0.0f ? taken + term : taken * term;
  }
  typename S::F32 vectors[kReduceLanes / S::kLanes];
  for (int v = 0; v < kReduceLanes / S::kLanes; ++v) vectors[v] = S::load(lanes + v * S::kLanes);
  return Fold::lanes(vectors);
}

BCAI_INLINE int64_t reduce_span(int64_t n) {
  int64_t span = 1;
  while (span * kReduceBlock < n) span *= kReduceBlock;
  return span;
}

// n terms by rule R4, n >= 0. step as in reduce_block, with i counted from the first term.
template <typename S, typename Fold, typename Step>
BCAI_INLINE float reduce(int64_t n, Step step) {
  const auto block = [step](int64_t start, int64_t size) {
    return reduce_block<S, Fold>(size, [step, start](typename S::F32 lane, int64_t i, auto part) {
      return step(lane, start + i, part);
    });
  };
  if (n <= kReduceBlock) return block(0, n);
  return reduce_blocks<S, Fold>(0, n, reduce_span(n), block);
}

// Rows [first, first + kRows) of an array, so much of a vector of each as `part` says.
template <typename S, int kRows, typename Part>
struct Rows {
  using Simd = Several<S, kRows>;

  Part part;
  int first = 0;

  BCAI_INLINE typename Simd::F32 load(const float* p, int64_t stride) const {
    return Simd::each([&](int r) BCAI_LAMBDA { return part.load(p + (first + r) * stride); });
  }
  BCAI_INLINE void store(float* p, int64_t stride, typename Simd::F32 x) const {
    for (int r = 0; r < kRows; ++r) part.store(p + (first + r) * stride, x.v[r]);
  }
  // All lanes of a row equal.
  BCAI_INLINE typename Simd::F32 set(const float* of_row) const {
    return Simd::each([&](int r) BCAI_LAMBDA { return S::set(of_row[first + r]); });
  }
  BCAI_INLINE typename Simd::F32 keep(typename Simd::F32 x, typename Simd::F32 other) const {
    return Simd::each([&](int r) BCAI_LAMBDA { return part.keep(x.v[r], other.v[r]); });
  }
};

// The same of kRows rows side by side: step(lanes, i, rows) takes terms i, i + 1, ... of Rows into
// the lanes of a vector for each.
template <typename S, typename Fold, int kRows, typename Step>
BCAI_INLINE void reduce_rows(int64_t n, Step step, float (&results)[kRows]) {
  if (n > kReduceBlock) {
    for (int r = 0; r < kRows; ++r) {
      results[r] =
          reduce<S, Fold>(n, [step, r](typename S::F32 lane, int64_t i, auto part) BCAI_LAMBDA {
            return step(typename Several<S, 1>::F32{{lane}}, i, Rows<S, 1, decltype(part)>{part, r})
                .v[0];
          });
    }
    return;
  }
  constexpr int kVectors = kReduceLanes / S::kLanes;
  using Side = Several<S, kRows>;
  typename Side::F32 lanes[kVectors];
  for (auto& lane : lanes) lane = Side::set(Fold::kNeutral);
  int64_t i = 0;
  for (; i + kReduceLanes <= n; i += kReduceLanes) {
    for (int v = 0; v < kVectors; ++v) {
      lanes[v] = step(lanes[v], i + v * S::kLanes, Rows<S, kRows, Whole<S>>{});
    }
  }
  for (int v = 0; v < kVectors; ++v, i += S::kLanes) {
    if (i + S::kLanes <= n) {
      lanes[v] = step(lanes[v], i, Rows<S, kRows, Whole<S>>{});
    } else if (i < n) {
      const Rows<S, kRows, First<S>> rows{{n - i}};
      lanes[v] = rows.keep(step(lanes[v], i, rows), lanes[v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    typename S::F32 row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = lanes[v].v[r];
    results[r] = Fold::lanes(row);
  }
}

template <typename S>
BCAI_INLINE float sum(const float* x, int64_t n) {
  return reduce<S, SumFold<S>>(n, [x](typename S::F32 lane, int64_t i, auto part) {
    return S::add(lane, part.load(x + i));
  });
}

// The sum of (x - center)^2, fused into the lane.
template <typename S>
BCAI_INLINE float sum_of_squares(const float* x, float center, int64_t n) {
  const auto c = S::set(center);
  return reduce<S, SumFold<S>>(n, [x, c](typename S::F32 lane, int64_t i, auto part) {
    const auto d = S::sub(part.load(x + i), c);
    return S::fma(d, d, lane);
  });
}

// The sum of x y, fused into the lane.
template <typename S>
BCAI_INLINE float dot(const float* x, const float* y, int64_t n) {
  return reduce<S, SumFold<S>>(n, [x, y](typename S::F32 lane, int64_t i, auto part) {
    return S::fma(part.load(x + i), part.load(y + i), lane);
  });
}

// Of kLanes neighbours at once: step(lane, j) takes term j of each into its vector lane.
template <typename S, typename Fold, typename Step>
typename S::F32 reduce_strided(int64_t start, int64_t n, int64_t span, Step step) {
  typename S::F32 lanes[kReduceLanes];
  for (auto& lane : lanes) lane = S::set(Fold::kNeutral);
  if (span == 1) {
    int64_t j = 0;
    for (; j + kReduceLanes <= n; j += kReduceLanes) {
      for (int l = 0; l < kReduceLanes; ++l) lanes[l] = step(lanes[l], start + j + l);
    }
    for (int l = 0; j + l < n; ++l) lanes[l] = step(lanes[l], start + j + l);
  } else {
    for (int64_t j = 0; j * span < n; ++j) {
      const int64_t left = n - j * span;
      const auto term = reduce_strided<S, Fold>(start + j * span, left < span ? left : span,
                                                span / kReduceBlock, step);
      lanes[j & 15] = Fold::of(lanes[j & 15], term);
    }
  }
  for (int half = kReduceLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] = Fold::of(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}

// Rule R5. Larger or smaller of n terms with one NaN if any is NaN, and +0 for a zero; the neutral
// value of no terms is the opposite infinity. No order shows in the result. Without kNan, NaNs are
// passed over.
template <typename S, bool kLargest, bool kNan = true>
BCAI_INLINE float extreme(const float* x, int64_t n) {
  constexpr int kVectors = kReduceLanes / S::kLanes;
  constexpr int kWays = 4;
  const auto neutral = S::set(kLargest ? -__builtin_inff() : __builtin_inff());
  typename S::F32 best[kWays];
  for (auto& lane : best) lane = neutral;
  auto nan = S::none();
  const auto better = [](typename S::F32 a, typename S::F32 b) __attribute__((always_inline)) {
    return kLargest ? S::larger(a, b) : S::smaller(a, b);
  };
  const auto take = [&](int way, typename S::F32 value) __attribute__((always_inline)) {
    best[way] = better(value, best[way]);
    if (kNan) nan = S::either(nan, S::unordered(value, value));
  };
  int64_t i = 0;
  for (; i + kWays * S::kLanes <= n; i += kWays * S::kLanes) {
    for (int way = 0; way < kWays; ++way) take(way, S::load(x + i + way * S::kLanes));
  }
  for (int way = 0; way < kWays; ++way, i += S::kLanes) {
    const int64_t left = n - i < S::kLanes ? n - i : S::kLanes;
    if (left > 0) take(way, First<S>{left}.keep(S::load_partial(x + i, left), neutral));
  }
  if (kNan && S::any(nan)) return __builtin_nanf("");
  typename S::F32 lanes[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    lanes[v] = best[v];
    for (int way = v + kVectors; way < kWays; way += kVectors) {
      lanes[v] = better(best[way], lanes[v]);
    }
  }
  return (kLargest ? S::largest16(lanes) : S::smallest16(lanes)) + 0.0f;
}

}  // namespace bcai::vm
