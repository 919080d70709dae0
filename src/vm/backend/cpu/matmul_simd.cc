// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/matmul.h"

#include "vm/backend/cpu/finish.h"
#include "vm/backend/cpu/matmul_blocks.h"
#include "vm/backend/cpu/pack.h"
#include "vm/backend/cpu/tile.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;
using Shape = TileShape<S>;

constexpr TileTable<S, Shape::kVectors, kPanelColumns> kPanelTiles;
constexpr TileTable<S, 16 / S::kLanes, kPanelColumns / 2> kHalfPanelTiles;

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
void run_tile(const Block& block, TileFunction function, TileArgs tile, int64_t row, int64_t rows,
              int64_t column, int64_t width) {
  const MatMulArgs& args = block.args;
  float* c = block.c + row * args.c_stride + column;
  const int64_t columns = args.columns - column < width ? args.columns - column : width;
  alignas(64) float edge[Shape::kRows * kPanelColumns];
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
  function(tile);
  if (block.depth_end == args.depth) {
    const Epilogue& e = args.epilogue;
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
void run_panel(const Block& block, const float* packed, const float* next, int64_t panel) {
  const int64_t width = panel_width(block.args.columns, panel);
  const bool half = width < kPanelColumns;
  const int64_t step = half ? width : Shape::kColumns;
  const EvenSplit tiles(block.row_end - block.row_begin, Shape::kRows);
  TileArgs tile{.a_stride = block.a_stride,
                .depth = block.depth_end - block.depth_begin,
                .resume = block.depth_begin > 0};
  const ptrdiff_t next_bytes = tile.depth * width * ptrdiff_t{sizeof(float)};
  tile.ahead_step = tiles.count < 4 ? 128 : (512 / tiles.count + 63) / 64 * 64;
  for (int64_t j = 0; j < width; j += step) {
    const int64_t column = panel * kPanelColumns + j;
    if (column >= block.args.columns) break;
    tile.b = packed + j;
    int64_t row = block.row_begin;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t rows = tiles.of(t);
      tile.ahead = reinterpret_cast<const char*>(next) + next_bytes * t / tiles.count;
      run_tile(block, (half ? kHalfPanelTiles.rows : kPanelTiles.rows)[rows], tile, row, rows,
               column, step);
      row += rows;
    }
  }
}

// The block of A in rows of block.a_stride floats.
void copy_a(const Block& block, float* to) {
  const MatMulArgs& args = block.args;
  const int64_t rows = block.row_end - block.row_begin;
  const int64_t depth = block.depth_end - block.depth_begin;
  if (args.a_layout == MatrixLayout::kTransposed) {
    transpose<S>(block.a + block.depth_begin * args.a_stride + block.row_begin, args.a_stride,
                 depth, rows, to, block.a_stride);
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    copy<S>(block.a_rows + r * args.a_stride, depth, to + r * block.a_stride);
}

void run_block(Block block, int64_t panel_begin, int64_t panel_end, float* scratch) {
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
      const float* next = b + kPanelColumns * args.depth;
      if (!packed) {
        pack_panel<S>(block.b, args.b_stride, args.b_layout, args.columns, panel, begin,
                      block.depth_end, panel_scratch);
        b = panel_scratch;
      }
      run_panel(block, b, next, panel);
    }
    begin = block.depth_end;
  } while (begin < args.depth);
}

void run(const MatMulArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t panels = panel_count(args.columns);
  const int64_t block_rows = matmul_block_rows(args);
  const int64_t row_blocks = (args.rows + block_rows - 1) / block_rows;
  while (begin < end) {
    const int64_t panel = begin % panels;
    const int64_t count = end - begin < panels - panel ? end - begin : panels - panel;
    const int64_t row_block = begin / panels % row_blocks;
    int64_t matrix = begin / panels / row_blocks;
    Block block{.args = args,
                .a = args.a,
                .b = args.b,
                .c = args.c,
                .residual = args.epilogue.residual,
                .row_begin = row_block * block_rows,
                .row_end = (row_block + 1) * block_rows};
    if (block.row_end > args.rows) block.row_end = args.rows;
    for (int i = kBatchRankMax - 1; i >= 0; --i) {
      const MatMulBatch& batch = args.batch[i];
      const int64_t index = matrix % batch.size;
      matrix /= batch.size;
      block.a += index * batch.a_stride;
      block.b += index * batch.b_stride;
      block.c += index * batch.c_stride;
      if (block.residual != nullptr) block.residual += index * batch.residual_stride;
    }
    run_block(block, panel, panel + count, reinterpret_cast<float*>(scratch));
    begin += count;
  }
}

void pack(const float* b, int64_t b_stride, MatrixLayout layout, int64_t depth, int64_t columns,
          float* panels) {
  for (int64_t panel = 0; panel < panel_count(columns); ++panel) {
    pack_panel<S>(b, b_stride, layout, columns, panel, 0, depth,
                  panels + panel * kPanelColumns * depth);
  }
}

}  // namespace

extern const MatMulKernels kMatMulKernels;
const MatMulKernels kMatMulKernels = {.run = run, .pack = pack};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
