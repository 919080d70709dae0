// SPDX-License-Identifier: Apache-2.0
// The elementary functions over arrays, by name and SIMD level: what the tests compare and the
// exhaustive check walks. Kernels use the templates of elementary.h directly.
#pragma once

#include <cstdint>
#include <span>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

struct UnaryFunction {
  const char* name;
  // y[i] = f(x[i]) for i < n, NaN canonical. x and y may be the same array.
  void (*apply)(const float* x, float* y, int64_t n);
};

struct BinaryFunction {
  const char* name;
  // z[i] = f(x[i], y[i]) for i < n, NaN canonical.
  void (*apply)(const float* x, const float* y, float* z, int64_t n);
};

// The same functions in the same order at every level.
struct ElementaryFunctions {
  std::span<const UnaryFunction> unary;
  std::span<const BinaryFunction> binary;
};

// The machine must have the level (has_simd_level).
const ElementaryFunctions& elementary_functions(SimdLevel level);

}  // namespace bcai::vm
