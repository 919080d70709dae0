// SPDX-License-Identifier: Apache-2.0
// Rotates pairs of each head's first 2 * pairs elements by the angles of their row:
//   y_a = fma(x_a, cosine, -(x_b * sine)), y_b = fma(x_b, cosine, x_a * sine)
// a and b are `pairs` apart, or neighbours where they are interleaved. What is behind them is
// copied.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

struct RotaryArgs {
  int64_t rows = 0;    // of x and y: [rows, heads, size]
  int64_t angles = 1;  // rows of cosine and sine, [angles, pairs]: row r has those of r mod angles
  int64_t heads = 1;
  int64_t size = 0;
  int64_t pairs = 0;  // 2 * pairs is at most size
  bool interleaved = false;
  const float* x = nullptr;
  const float* cosine = nullptr;
  const float* sine = nullptr;
  float* y = nullptr;  // overlaps no operand
};

// Independent pieces: rows.
int64_t rotary_units(const RotaryArgs& args);

// What one call of run() needs.
int64_t rotary_scratch_bytes(const RotaryArgs& args);

struct RotaryKernels {
  void (*run)(const RotaryArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const RotaryKernels& rotary_kernels(SimdLevel level);

}  // namespace bcai::vm
