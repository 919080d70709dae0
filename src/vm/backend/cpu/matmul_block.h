// SPDX-License-Identifier: Apache-2.0
// A block of rows of A against panels of B: the loops that matmul and convolution share. For
// *_simd.cc alone.
#pragma once

#include "vm/backend/cpu/finish.h"
#include "vm/backend/cpu/matmul_blocks.h"
#include "vm/backend/cpu/pack.h"
#include "vm/backend/cpu/tile.h"

namespace bcai::vm {

// A block of rows by a range of panels, of one matrix of the batch.
struct Block {
  const MatMulArgs& args;
  const float* a;
  const float* b;
  float* c;
  const float* residual;
  int64_t row_begin;
  int64_t row_end;
  int64_t depth_begin;
  int64_t depth_end;
  const float* a_rows;  // A at (row_begin, depth_begin), in place or copied
  int64_t a_stride;
};

// One tile at (row, column), through a buffer where it sticks out of C.
template <class S>
void run_tile(const Block& block, TileFunction function, TileArgs tile, int64_t row, int64_t rows,
              int64_t column, int64_t width) {
  const MatMulArgs& args = block.args;
  float* c = block.c + row * args.c_stride + column;
  const int64_t columns = args.columns - column < width ? args.columns - column : width;
  alignas(64) float edge[kTileFloatsMax];
  tile.a = block.a_rows + (row - block.row_begin) * block.a_stride;
  tile.c = c;
  tile.c_stride = args.c_stride;
  tile.next_c = c + rows * args.c_stride;
  if (columns < width) {
    tile.c = edge;
    tile.c_stride = width;
    if (tile.resume) {
      for (int64_t r = 0; r < rows; ++r) copy<S>(c + r * args.c_stride, columns, edge + r * width);
    }
  }
  const bool last = block.depth_end == args.depth;
  const Epilogue& e = args.epilogue;
  if (last && block.residual != nullptr) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* residual = block.residual + (row + r) * e.residual_stride + column;
      for (int64_t j = 0; j < columns; j += 16) __builtin_prefetch(residual + j);
    }
  }
  function(tile);
  if (last) {
    finish<S>({.sums = tile.c,
               .sums_stride = tile.c_stride,
               .output = c,
               .output_stride = args.c_stride,
               .rows = rows,
               .columns = columns,
               .epilogue = &e,
               .bias = e.bias == nullptr ? nullptr : e.bias + column,
               .residual = block.residual == nullptr
                               ? nullptr
                               : block.residual + row * e.residual_stride + column});
  } else if (columns < width) {
    for (int64_t r = 0; r < rows; ++r) copy<S>(edge + r * width, columns, c + r * args.c_stride);
  }
}

// All rows of the block against rows [depth_begin, depth_end) of one panel.
template <class S>
void run_panel(const Block& block, const float* packed, const float* next, int64_t panel) {
  const int64_t width = panel_width(block.args.columns, panel);
  const EvenSplit tiles(block.row_end - block.row_begin, tile_rows<S>(width));
  const int64_t step = tile_columns<S>(width, tiles.of(0));
  TileArgs tile{.a_stride = block.a_stride,
                .depth = block.depth_end - block.depth_begin,
                .resume = block.depth_begin > 0};
  const ptrdiff_t next_bytes = tile.depth * width * ptrdiff_t{sizeof(float)};
  // The tiles of a panel share the way to the next one; a lone tile streams by itself.
  const ptrdiff_t share = (4 * width * ptrdiff_t{sizeof(float)} / tiles.count + 63) / 64 * 64;
  const ptrdiff_t most = 64 * tile_ahead_lines(tiles.of(0));
  tile.ahead_step = tiles.count == 1 ? 0 : share < most ? share : most;
  for (int64_t j = 0; j < width; j += step) {
    const int64_t column = panel * kPanelColumns + j;
    if (column >= block.args.columns) break;
    tile.b = packed + j;
    int64_t row = block.row_begin;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.of(t);
      tile.ahead = reinterpret_cast<const char*>(next) + next_bytes * t / tiles.count;
      run_tile<S>(block, panel_tile<S>(rows, width), tile, row, rows, column, step);
      row += rows;
    }
  }
}

// What B a block reads after rows [begin, end) of a panel: the next panel's, the first panel's next
// rows, the first panel again for the rows of A that follow, and in the end what comes after the
// product.
BCAI_INLINE const float* next_weights(const Block& block, int64_t panel_begin, int64_t panel,
                                      int64_t panel_end) {
  const MatMulArgs& args = block.args;
  const auto rows_from = [&](int64_t at, int64_t depth) BCAI_LAMBDA {
    return block.b + at * kPanelColumns * args.depth + depth * panel_width(args.columns, at);
  };
  if (panel + 1 < panel_end) return rows_from(panel + 1, block.depth_begin);
  if (block.depth_end < args.depth) return rows_from(panel_begin, block.depth_end);
  const bool last = block.row_end == args.rows && args.next_weights != nullptr;
  return last ? args.next_weights : rows_from(panel_begin, 0);
}

// Panels [panel_begin, panel_end). copy_a(block, to) writes the block of A in rows of
// block.a_stride floats, where it is copied.
template <class S, class CopyA>
void run_block(Block block, int64_t panel_begin, int64_t panel_end, float* scratch,
               const CopyA& copy_a) {
  const MatMulArgs& args = block.args;
  const bool packed = args.b_layout == MatrixLayout::kPacked;
  const int64_t step = matmul_block_depth(args);
  float* panel_scratch = scratch;
  float* a_scratch = scratch + (packed ? 0 : step * kPanelColumns);
  int64_t begin = 0;
  do {
    block.depth_begin = begin;
    block.depth_end = begin + step < args.depth ? begin + step : args.depth;
    block.a_rows = block.a + block.row_begin * args.a_stride + begin;
    block.a_stride = args.a_stride;
    if (matmul_copies_a(args)) {
      block.a_stride = matmul_copy_stride(args);
      copy_a(block, a_scratch);
      block.a_rows = a_scratch;
    }
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
      const int64_t width = panel_width(args.columns, panel);
      const float* b = block.b + panel * kPanelColumns * args.depth + begin * width;
      const float* next = b;
      if (packed) {
        next = next_weights(block, panel_begin, panel, panel_end);
      } else {
        pack_panel<S>(block.b, args.b_stride, args.b_layout, args.columns, panel, begin,
                      block.depth_end, panel_scratch);
        b = panel_scratch;
      }
      run_panel<S>(block, b, next, panel);
    }
    begin = block.depth_end;
  } while (begin < args.depth);
}

}  // namespace bcai::vm
