// SPDX-License-Identifier: Apache-2.0
// What attention does to a few rows of scores: exponentials, the sum of values, the division. For
// *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/attention_blocks.h"
#include "vm/backend/cpu/tile.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/exp_log.h"
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

// The largest of n > 0 numbers, NaN left out; minus infinity if there is no other.
template <class S>
BCAI_INLINE float scaled_largest(float* x, int64_t n, float scale, const float* mask) {
  constexpr int kWays = 4;
  typename S::F32 best[kWays];
  for (auto& way : best) way = S::set(-__builtin_inff());
  const auto factor = S::set(scale);
  const auto take = [&](int way, int64_t i, auto part) BCAI_LAMBDA {
    auto value = S::mul(part.load(x + i), factor);
    if (mask != nullptr) value = S::add(value, part.load(mask + i));
    part.store(x + i, value);
    best[way] = S::larger(part.keep(value, best[way]), best[way]);
  };
  int64_t i = 0;
  for (; i + kWays * S::kLanes <= n; i += kWays * S::kLanes) {
    unroll<kWays>([&](auto way)
                      BCAI_LAMBDA { take(way.value, i + way.value * S::kLanes, Whole<S>{}); });
  }
  for (; i + S::kLanes <= n; i += S::kLanes) take(0, i, Whole<S>{});
  if (i < n) take(1, i, First<S>{n - i});
  best[0] = S::larger(S::larger(best[0], best[1]), S::larger(best[2], best[3]));
  float lanes[S::kLanes];
  S::store(lanes, best[0]);
  float largest = lanes[0];
  for (float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

// x becomes exp(x * scale + mask - the largest), in n steps; returns the sum by rule R4. 0 says
// that the row gives zeros: it has no keys, or all its scores are minus infinity.
template <class S>
float exponentials(float* x, int64_t n, float scale, const float* mask) {
  if (n == 0) return 0;
  const float largest = scaled_largest<S>(x, n, scale, mask);
  if (largest == -__builtin_inff()) {
    for (int64_t i = 0; i < n; ++i) {
      if (x[i] != x[i]) return x[i];
    }
    return 0;
  }
  const auto center = S::set(largest);
  return reduce<S, SumFold<S>>(n, [=](typename S::F32 lane, int64_t i, auto part) BCAI_LAMBDA {
    const auto p = exp_to_89<S>(S::sub(part.load(x + i), center));
    part.store(x + i, p);
    return S::add(lane, p);
  });
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

template <class S>
void divide(const float* sums, float total, int64_t n, float* to) {
  const auto by = S::set(total);
  for_vectors<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
    const auto x = canonical_nan<S>(S::div(part.load(sums + i), by));
    part.store(to + i, total == 0 ? S::set(0.0f) : x);
  });
}

}  // namespace bcai::vm
