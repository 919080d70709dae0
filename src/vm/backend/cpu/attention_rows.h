// SPDX-License-Identifier: Apache-2.0
// What attention does to a few rows of scores: exponentials, the sum of values, the division. For
// *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/attention_blocks.h"
#include "vm/backend/cpu/tile.h"
#include "vm/backend/cpu/transpose.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/exp_log.h"
#include "vm/numerics/quotient.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm {

// Rows whose key ranges do not go back from one row to the next.
struct RowSet {
  int64_t count;
  float* scores;  // by key, from key 0 on
  ptrdiff_t score_stride;
  float* sums;  // partial sums of the values, in columns of whole panels
  ptrdiff_t sum_stride;
  int64_t head_size;
  KeyRange keys[kAttentionRows];
};

// Rows of n > 0 scores, and their masks or null.
struct ScoreRows {
  float* x;
  ptrdiff_t stride;
  const float* mask;
  ptrdiff_t mask_stride;
  int64_t n;
};

// x becomes x * scale + mask; the largest of each row, NaN left out, minus infinity if there is no
// other.
template <class S, int kRows>
BCAI_INLINE void scale_rows(const ScoreRows& rows, float scale, float (&largest)[kRows]) {
  constexpr int kVectors = kReduceLanes / S::kLanes;
  using V = Several<S, kRows>;
  typename V::F32 best[kVectors];
  for (auto& lanes : best) lanes = V::set(-__builtin_inff());
  const auto take = [&](int v, int64_t i, auto at) BCAI_LAMBDA {
    auto value = V::mul(at.load(rows.x + i, rows.stride), V::set(scale));
    if (rows.mask != nullptr) value = V::add(value, at.load(rows.mask + i, rows.mask_stride));
    at.store(rows.x + i, rows.stride, value);
    best[v] = V::larger(at.keep(value, best[v]), best[v]);
  };
  int64_t i = 0;
  for (; i + kReduceLanes <= rows.n; i += kReduceLanes) {
    unroll<kVectors>([&](auto v) BCAI_LAMBDA {
      take(v.value, i + v.value * S::kLanes, Rows<S, kRows, Whole<S>>{});
    });
  }
  for_vectors<S>(rows.n - i, [&](int64_t j, auto part) BCAI_LAMBDA {
    take(0, i + j, Rows<S, kRows, decltype(part)>{part});
  });
  for (int r = 0; r < kRows; ++r) {
    typename S::F32 row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = best[v].v[r];
    largest[r] = S::largest16(row);
  }
}

// x becomes exp(x - the row's largest); the totals are the sums by rule R4. 0 says that the row
// gives zeros: all its scores are minus infinity.
template <class S, int kRows>
BCAI_INLINE void raise_rows(const ScoreRows& rows, const float (&largest)[kRows], float* totals) {
  float sums[kRows];
  float none[kRows] = {};  // what a row without a number gives
  for (int r = 0; r < kRows; ++r) {
    if (largest[r] != -__builtin_inff()) continue;
    auto nan = S::none();
    for_vectors<S>(rows.n, [&](int64_t i, auto part) BCAI_LAMBDA {
      const auto score = part.load(rows.x + r * rows.stride + i);
      nan = S::either(nan, S::unordered(score, score));
    });
    if (S::any(nan)) none[r] = __builtin_nanf("");
  }
  reduce_rows<S, SumFold<S>, kRows>(
      rows.n,
      [&](auto lanes, int64_t i, auto at) BCAI_LAMBDA {
        using V = typename decltype(at)::Simd;
        const auto p = exp_to_89<V>(V::sub(at.load(rows.x + i, rows.stride), at.set(largest)));
        at.store(rows.x + i, rows.stride, p);
        return V::add(lanes, p);
      },
      sums);
  for (int r = 0; r < kRows; ++r) {
    totals[r] = largest[r] == -__builtin_inff() ? none[r] : sums[r];
  }
}

// x becomes exp(x * scale + mask - the row's largest), of kGroups times kRows rows: those of a
// group go side by side, and while the largest of one is found another goes on.
template <class S, int kRows, int kGroups>
void exponentials(const ScoreRows& rows, float scale, float* totals) {
  ScoreRows group[kGroups];
  float largest[kGroups][kRows];
  for (int g = 0; g < kGroups; ++g) {
    group[g] = rows;
    group[g].x += g * kRows * rows.stride;
    if (rows.mask != nullptr) group[g].mask += g * kRows * rows.mask_stride;
    scale_rows<S>(group[g], scale, largest[g]);
  }
  for (int g = 0; g < kGroups; ++g) raise_rows<S>(group[g], largest[g], totals + g * kRows);
}

// Rows of values of keys [begin, end), in panels.
struct ValueBlock {
  const float* panels;
  int64_t begin;
  int64_t end;
};

// The sums of rows [row, row + count) go on over keys [begin, end).
template <class S>
void add_keys(const RowSet& rows, const ValueBlock& values, int64_t row, int64_t count,
              int64_t begin, int64_t end) {
  if (begin >= end) return;
  for (int64_t panel = 0; panel < panel_count(rows.head_size); ++panel) {
    const int64_t width = panel_width(rows.head_size, panel);
    multiply_panel<S>({.a = rows.scores + row * rows.score_stride + begin,
                       .a_stride = rows.score_stride,
                       .b = values.panels + panel * kPanelColumns * (values.end - values.begin) +
                            (begin - values.begin) * width,
                       .depth = end - begin,
                       .c = rows.sums + row * rows.sum_stride + panel * kPanelColumns,
                       .c_stride = rows.sum_stride,
                       .resume = true},
                      count, width);
  }
}

// Adds p_j * v_j of the block's keys to the sums of the rows that see them: rows together over the
// keys that all of them see, one by one before and behind.
template <class S>
void add_values(const RowSet& rows, const ValueBlock& values) {
  const auto within = [&](int64_t key) {
    return key < values.begin ? values.begin : key > values.end ? values.end : key;
  };
  const KeyRange& lowest = rows.keys[0];
  const KeyRange& highest = rows.keys[rows.count - 1];
  if (lowest.begin == highest.begin && lowest.end == highest.end) {
    add_keys<S>(rows, values, 0, rows.count, within(lowest.begin), within(lowest.end));
    return;
  }
  const EvenSplit tiles(rows.count, tile_rows<S>(panel_width(rows.head_size, 0)));
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t first = tiles.first(t);
    const int64_t last = first + tiles.of(t) - 1;
    const int64_t begin = within(rows.keys[last].begin);
    int64_t end = within(rows.keys[first].end);
    if (end < begin) end = begin;
    for (int64_t r = first; r <= last; ++r) {
      const int64_t stop = within(rows.keys[r].end);
      add_keys<S>(rows, values, r, 1, within(rows.keys[r].begin), stop < begin ? stop : begin);
    }
    add_keys<S>(rows, values, first, tiles.of(t), begin, end);
    for (int64_t r = first; r <= last; ++r) {
      const int64_t start = within(rows.keys[r].begin);
      add_keys<S>(rows, values, r, 1, start < end ? end : start, within(rows.keys[r].end));
    }
  }
}

// sums / total, zeros where the total is 0; the total is NaN, 0, or from 1 to the number of keys.
template <class S>
void divide(const float* sums, float total, int64_t n, float* to) {
  if (total == 0) {
    fill_zero<S>(to, n);
    return;
  }
  const QuotientBy<S> quotient(total, 1.0f / total);
  for_vectors<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
    const auto sum = part.keep(part.load(sums + i), S::set(1.0f));
    part.store(to + i, canonical_nan<S>(quotient.of_any(sum)));
  });
}

}  // namespace bcai::vm
