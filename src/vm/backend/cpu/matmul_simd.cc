// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/matmul.h"

#include "vm/backend/cpu/matmul_block.h"
#include "vm/backend/cpu/pack.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

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
    run_block<S>(block, panel, panel + count, reinterpret_cast<float*>(scratch), copy_a);
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
