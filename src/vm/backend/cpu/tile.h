// SPDX-License-Identifier: Apache-2.0
// The register tile under matmul, convolution and attention: rows by vectors of accumulators, and
// one fused multiply-add per k in each. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/panel.h"
#include "vm/numerics/simd.h"

namespace bcai::vm {

// At most so many rows of sums by a panel of `width` columns stay in registers, with what a step
// needs besides. With 32 registers a tile takes the whole width: six rows by four vectors need ten
// loads for 24 multiply-adds, fourteen by two sixteen for 28, and loads are what a busy neighbour
// on the same core takes away.
template <class S>
constexpr BCAI_INLINE int64_t tile_rows(int64_t width) {
  return S::kLanes != 16 || width == 64 ? 6 : width == 48 ? 8 : 14;
}
// Columns that a tile of `rows` rows takes at a time: all, too, where B streams for one row.
template <class S>
constexpr BCAI_INLINE int64_t tile_columns(int64_t width, int64_t rows) {
  return S::kLanes == 16 || rows == 1 ? width : 16;
}
inline constexpr int64_t kTileFloatsMax = 14 * 32;

// Tiles of so few rows wait for B and not for arithmetic.
inline constexpr int64_t kStreamRows = 4;
// Cache lines from `ahead` on that a tile asks for in every four k.
constexpr int tile_ahead_lines(int64_t rows) { return rows <= kStreamRows ? 8 : 2; }

struct TileArgs {
  const float* a;      // row-major
  ptrdiff_t a_stride;  // all strides in floats
  const float* b;      // in a panel
  int64_t depth;       // of one line
  float* c;
  ptrdiff_t c_stride;
  bool resume;  // the chains go on from the partial sums in c
  // What to bring into L2 meanwhile: tile_ahead_lines() from `ahead` on, and ahead_step bytes on
  // for every four k; and the tile of C that comes next. Any address will do, read or not.
  const char* ahead;
  ptrdiff_t ahead_step;
  const float* next_c;
  // A row of A is `lines` lines of `depth` floats, line_stride apart; in B they follow each other.
  int64_t lines = 1;
  ptrdiff_t line_stride = 0;
};

using TileFunction = void (*)(const TileArgs&);

// The tile of `rows` rows (1 to tile_rows<S>(width)) for a panel of `width` columns.
template <class S>
TileFunction panel_tile(int64_t rows, int64_t width);
template <>
TileFunction panel_tile<Simd>(int64_t rows, int64_t width);

// n pieces in equal parts, the first ones larger by one: 128 rows are 22 tiles of 5 or 6 and not 21
// of 6 and a slow one of 2.
struct EvenSplit {
  int64_t count;
  int64_t size;
  int64_t larger;  // how many parts have size + 1
  BCAI_INLINE EvenSplit(int64_t n, int64_t part_max)
      : count((n + part_max - 1) / part_max),
        size(count == 0 ? 0 : n / count),
        larger(count == 0 ? 0 : n % count) {}
  BCAI_INLINE int64_t of(int64_t i) const { return size + (i < larger ? 1 : 0); }
  BCAI_INLINE int64_t first(int64_t i) const { return i * size + (i < larger ? i : larger); }
};

// C (+)= A * one panel of `width` columns, `rows` rows of any number. C has room for the whole
// width.
template <class S>
void multiply_panel(TileArgs args, int64_t rows, int64_t width) {
  const EvenSplit tiles(rows, tile_rows<S>(width));
  const int64_t step = tile_columns<S>(width, tiles.of(0));
  args.ahead = reinterpret_cast<const char*>(args.b);
  args.ahead_step = 0;
  for (int64_t j = 0; j < width; j += step) {
    TileArgs tile = args;
    tile.b += j;
    tile.c += j;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t n = tiles.of(t);
      tile.next_c = tile.c;
      panel_tile<S>(n, width)(tile);
      tile.a += n * tile.a_stride;
      tile.c += n * tile.c_stride;
    }
  }
}

}  // namespace bcai::vm
