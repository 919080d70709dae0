// SPDX-License-Identifier: Apache-2.0
// The register tile under matmul, convolution and attention: kRows x kVectors accumulators over a
// vector S of simd.h, and one fused multiply-add per k in each. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/panel.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/simd.h"

namespace bcai::vm {

// Most rows and vectors that stay in registers, with what a step needs besides.
template <class S>
struct TileShape {
  static constexpr int kRows = S::kLanes == 16 ? 14 : 6;
  static constexpr int kVectors = S::kLanes == 4 ? 4 : 2;
  static constexpr int kColumns = kVectors * S::kLanes;
};

struct TileArgs {
  const float* a;      // row-major
  ptrdiff_t a_stride;  // all strides in floats
  const float* b;      // depth rows of kVectors vectors
  ptrdiff_t b_stride;
  int64_t depth;
  float* c;
  ptrdiff_t c_stride;
  bool resume;  // the chains go on from the partial sums in c
  // What to bring into L2 meanwhile: two lines from `ahead` and ahead_step bytes on for every four
  // k; and the tile of C that comes next. Any address will do, read or not.
  const char* ahead;
  ptrdiff_t ahead_step;
  const float* next_c;
};

// How far ahead of its reads a tile asks for B. The way passes from the end of a panel to the next,
// which lies behind it.
inline constexpr ptrdiff_t kPrefetchBytes = 2048;

// kStep is B's stride where it is known, else 0. The rows of A are read where they are: three share
// a base pointer (p, p + s, p + 2s), so that 14 rows take five registers.
template <class S, int kRows, int kVectors, ptrdiff_t kStep>
void tile(const TileArgs& args) {
  constexpr int kGroups = (kRows + 2) / 3;
  constexpr ptrdiff_t kFloat = sizeof(float);
  const ptrdiff_t b_step = kStep != 0 ? kStep : args.b_stride;
  const ptrdiff_t stride = args.a_stride * kFloat;
  const char* row[kGroups];
  unroll<kGroups>([&](auto g) BCAI_LAMBDA {
    row[g.value] = reinterpret_cast<const char*>(args.a) + 3 * g.value * stride;
    asm("" : "+r"(row[g.value]));  // else the compiler makes 14 pointers of them, and spills those
  });
  typename S::F32 sum[kRows][kVectors];
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      sum[r.value][j.value] = args.resume
                                  ? S::load(args.c + r.value * args.c_stride + j.value * S::kLanes)
                                  : S::set(0.0f);
    });
  });
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<(kVectors * S::kLanes + 15) / 16>([&](auto j) BCAI_LAMBDA {
      __builtin_prefetch(args.next_c + r.value * args.c_stride + j.value * 16, 1);
    });
  });
  const char* ahead = args.ahead;
  const float* b = args.b;
  const auto step = [&](auto u) BCAI_LAMBDA {
    const float* at = b + u.value * b_step;
    typename S::F32 column[kVectors];
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      column[j.value] = S::load(at + j.value * S::kLanes);
      if constexpr (kStep != 0 && (j.value * S::kLanes) % 16 == 0) {
        __builtin_prefetch(reinterpret_cast<const char*>(at + j.value * S::kLanes) +
                           kPrefetchBytes);
      }
    });
    unroll<kRows>([&](auto r) BCAI_LAMBDA {
      const char* x = row[r.value / 3] + (r.value % 3) * stride + u.value * kFloat;
      const auto factor = S::set(*reinterpret_cast<const float*>(x));
      unroll<kVectors>([&](auto j) BCAI_LAMBDA {
        sum[r.value][j.value] = S::fma(factor, column[j.value], sum[r.value][j.value]);
      });
    });
  };
  const auto advance = [&](ptrdiff_t by) BCAI_LAMBDA {
    b += by * b_step;
    unroll<kGroups>([&](auto g) BCAI_LAMBDA { row[g.value] += by * kFloat; });
  };
  int64_t k = 0;
  for (; k + 4 <= args.depth; k += 4) {
    __builtin_prefetch(ahead, 0, 2);
    __builtin_prefetch(ahead + 64, 0, 2);
    ahead += args.ahead_step;
    unroll<4>(step);
    advance(4);
  }
  for (; k < args.depth; ++k) {
    step(Index<0>{});
    advance(1);
  }
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      S::store(args.c + r.value * args.c_stride + j.value * S::kLanes, sum[r.value][j.value]);
    });
  });
}

using TileFunction = void (*)(const TileArgs&);

// Tiles of 1 to TileShape<S>::kRows rows, index 0 unused.
template <class S, int kVectors, ptrdiff_t kStep>
struct TileTable {
  TileFunction rows[TileShape<S>::kRows + 1] = {};
  constexpr TileTable() {
    unroll<TileShape<S>::kRows>(
        [&](auto r) { rows[r.value + 1] = tile<S, r.value + 1, kVectors, kStep>; });
  }
};

// n pieces in equal parts, the first ones larger by one: 128 rows are ten tiles of 12 or 13 and not
// nine of 14 and a slow one of 2.
struct EvenSplit {
  int64_t count;
  int64_t size;
  int64_t larger;  // how many parts have size + 1
  EvenSplit(int64_t n, int64_t part_max)
      : count((n + part_max - 1) / part_max),
        size(count == 0 ? 0 : n / count),
        larger(count == 0 ? 0 : n % count) {}
  int64_t of(int64_t i) const { return size + (i < larger ? 1 : 0); }
  int64_t first(int64_t i) const { return i * size + (i < larger ? i : larger); }
};

// C (+)= A * one panel of `width` columns, `rows` rows of any number. C has room for the whole
// width.
template <class S>
void multiply_panel(TileArgs args, int64_t rows, int64_t width) {
  static constexpr TileTable<S, TileShape<S>::kVectors, kPanelColumns> kWhole;
  static constexpr TileTable<S, 16 / S::kLanes, kPanelColumns / 2> kHalf;
  const bool half = width < kPanelColumns;
  const int64_t step = half ? width : TileShape<S>::kColumns;
  const EvenSplit tiles(rows, TileShape<S>::kRows);
  args.ahead = reinterpret_cast<const char*>(args.b);
  args.ahead_step = 0;
  for (int64_t j = 0; j < width; j += step) {
    TileArgs tile = args;
    tile.b += j;
    tile.c += j;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t n = tiles.of(t);
      tile.next_c = tile.c;
      (half ? kHalf.rows : kWhole.rows)[n](tile);
      tile.a += n * tile.a_stride;
      tile.c += n * tile.c_stride;
    }
  }
}

}  // namespace bcai::vm
