// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/matmul.h"

#include <algorithm>

#include "vm/backend/cpu/matmul_blocks.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(MatMulKernels, kMatMulKernels)

namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

const MatMulKernels& matmul_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kMatMulKernels);
}

// Few panels are cut into more row blocks, so that there is work for every thread.
int64_t matmul_block_rows(const MatMulArgs& args) {
  const int64_t panels = panel_count(args.columns);
  const int64_t most = panels >= 4 ? kBlockRows : panels >= 2 ? kBlockRows / 2 : kBlockRows / 4;
  return round_up(ceil_div(args.rows, ceil_div(args.rows, most)), 2);
}

int64_t matmul_block_depth(const MatMulArgs& args) {
  if (args.b_layout == MatrixLayout::kPacked && args.a_layout == MatrixLayout::kRows &&
      args.rows <= kSkinnyRows) {
    return args.depth;
  }
  if (args.depth <= kBlockDepth) return args.depth;
  return round_up(ceil_div(args.depth, ceil_div(args.depth, kBlockDepth)), 16);
}

// Rows whole pages apart compete for one set of L1: they are copied, too, where many panels read
// them.
bool matmul_copies_a(const MatMulArgs& args) {
  if (args.a_layout != MatrixLayout::kRows) return true;
  return args.a_stride % 1024 == 0 && args.rows > kSkinnyRows && panel_count(args.columns) >= 4;
}

// Not a multiple of a page: rows 4 KiB apart compete for one set of L1.
int64_t matmul_copy_stride(const MatMulArgs& args) {
  return round_up(matmul_block_depth(args), 16) + 16;
}

int64_t matmul_units(const MatMulArgs& args) {
  if (args.rows == 0 || args.columns == 0) return 0;
  int64_t units = ceil_div(args.rows, matmul_block_rows(args)) * panel_count(args.columns);
  for (const MatMulBatch& batch : args.batch) units *= batch.size;
  return units;
}

int64_t matmul_scratch_bytes(const MatMulArgs& args) {
  if (args.rows == 0 || args.columns == 0) return 0;
  int64_t floats = 0;
  if (args.b_layout != MatrixLayout::kPacked) floats += matmul_block_depth(args) * kPanelColumns;
  if (matmul_copies_a(args)) floats += matmul_block_rows(args) * matmul_copy_stride(args);
  return round_up(floats * int64_t{sizeof(float)}, 64);
}

}  // namespace bcai::vm
