// SPDX-License-Identifier: Apache-2.0
// C = epilogue(A * B) in f32, with the bits of numeric profile n1: every output element is one
// chain that starts at +0 and takes one fused multiply-add per k, k ascending. Tiles, threads,
// batch and instruction set change nothing. A kernel allocates nothing, starts no thread and throws
// nothing; any partition of its units over threads gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/epilogue.h"
#include "vm/backend/cpu/panel.h"
#include "vm/numerics/simd_level.h"

namespace bcai::vm {

inline constexpr int kBatchRankMax = 4;

// Strides count floats. A batch stride of 0 repeats the operand (broadcasting).
struct MatMulBatch {
  int64_t size = 1;
  int64_t a_stride = 0;
  int64_t b_stride = 0;
  int64_t c_stride = 0;
  int64_t residual_stride = 0;
};

struct MatMulArgs {
  int64_t rows = 0;     // M
  int64_t columns = 0;  // N
  int64_t depth = 0;    // K; 0 is allowed and gives epilogue(+0)
  const float* a = nullptr;
  int64_t a_stride = 0;  // from one stored row to the next, as for b and c
  MatrixLayout a_layout = MatrixLayout::kRows;
  const float* b = nullptr;
  int64_t b_stride = 0;  // unused by kPacked
  MatrixLayout b_layout = MatrixLayout::kPacked;
  // With kPacked: what to bring near in the end, as the next product reads it first. Any address,
  // or null.
  const float* next_weights = nullptr;
  float* c = nullptr;  // overlaps no operand
  int64_t c_stride = 0;
  MatMulBatch batch[kBatchRankMax];  // outermost first
  Epilogue epilogue;
};

// Independent pieces of the output, each a panel of columns by a block of rows.
int64_t matmul_units(const MatMulArgs& args);

// What one call of run() needs, aligned to 64 bytes; the same for every level and range.
int64_t matmul_scratch_bytes(const MatMulArgs& args);

struct MatMulKernels {
  void (*run)(const MatMulArgs& args, int64_t begin, int64_t end, std::byte* scratch);
  // Writes the panel_floats() floats of B, given as kRows or kTransposed, ahead of any number of
  // runs.
  void (*pack)(const float* b, int64_t b_stride, MatrixLayout layout, int64_t depth,
               int64_t columns, float* panels);
};

// The level must be one that this processor has.
const MatMulKernels& matmul_kernels(SimdLevel level);

}  // namespace bcai::vm
