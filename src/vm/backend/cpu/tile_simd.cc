// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/tile.h"

#include "vm/backend/cpu/unroll.h"

namespace bcai::vm {
namespace {

// How far ahead of its reads a tile of few rows asks for B, which it may be the only one to read.
// The way passes from the end of a panel to the next, which lies behind it.
constexpr ptrdiff_t kPrefetchBytes = 4096;

// kStep is B's stride. The rows of A are read where they are: three share
// a base pointer (p, p + s, p + 2s), so that 14 rows take five registers.
template <class S, int kRows, int kVectors, ptrdiff_t kStep>
void tile(const TileArgs& args) {
  constexpr int kGroups = (kRows + 2) / 3;
  constexpr ptrdiff_t kFloat = sizeof(float);
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
    const float* at = b + u.value * kStep;
    typename S::F32 column[kVectors];
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      column[j.value] = S::load(at + j.value * S::kLanes);
      if constexpr (kRows <= kStreamRows && j.value * S::kLanes % 16 == 0) {
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
    b += by * kStep;
    unroll<kGroups>([&](auto g) BCAI_LAMBDA { row[g.value] += by * kFloat; });
  };
  for (int64_t line = args.lines;;) {
    int64_t k = 0;
    for (; k + 4 <= args.depth; k += 4) {
      unroll<tile_ahead_lines(kRows)>(
          [&](auto i) BCAI_LAMBDA { __builtin_prefetch(ahead + 64 * i.value, 0, 2); });
      ahead += args.ahead_step;
      unroll<4>(step);
      advance(4);
    }
    for (; k < args.depth; ++k) {
      step(Index<0>{});
      advance(1);
    }
    if (--line <= 0) break;
    const ptrdiff_t gap = (args.line_stride - args.depth) * kFloat;
    unroll<kGroups>([&](auto g) BCAI_LAMBDA { row[g.value] += gap; });
  }
  unroll<kRows>([&](auto r) BCAI_LAMBDA {
    unroll<kVectors>([&](auto j) BCAI_LAMBDA {
      S::store(args.c + r.value * args.c_stride + j.value * S::kLanes, sum[r.value][j.value]);
    });
  });
}

// Tiles of 1 to tile_rows<S>(kWidth) rows, index 0 unused.
template <class S, int kWidth>
struct TileTable {
  static constexpr int kRows = static_cast<int>(tile_rows<S>(kWidth));
  TileFunction rows[kRows + 1] = {};
  constexpr TileTable() {
    unroll<kRows>([&](auto r) {
      constexpr int kVectors = static_cast<int>(tile_columns<S>(kWidth, r.value + 1)) / S::kLanes;
      rows[r.value + 1] = tile<S, r.value + 1, kVectors, kWidth>;
    });
  }
};

constexpr TileTable<Simd, 16> kTiles16;
constexpr TileTable<Simd, 32> kTiles32;
constexpr TileTable<Simd, 48> kTiles48;
constexpr TileTable<Simd, 64> kTiles64;

}  // namespace

template <>
TileFunction panel_tile<Simd>(int64_t rows, int64_t width) {
  switch (width) {
    case 16: return kTiles16.rows[rows];
    case 32: return kTiles32.rows[rows];
    case 48: return kTiles48.rows[rows];
    default: return kTiles64.rows[rows];
  }
}

}  // namespace bcai::vm
