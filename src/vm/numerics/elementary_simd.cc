// SPDX-License-Identifier: Apache-2.0
#include "vm/numerics/elementary.h"
#include "vm/numerics/elementary_table.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

template <typename Function>
BCAI_INLINE void over(const float* x, float* y, int64_t n, Function function) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    S::store(y + i, canonical_nan<S>(function(S::load(x + i))));
  }
  if (i < n) {
    S::store_partial(y + i, canonical_nan<S>(function(S::load_partial(x + i, n - i))), n - i);
  }
}

#define BCAI_UNARY(f)                                                    \
  UnaryFunction {                                                        \
#f, [](const float* x, float* y, int64_t n) {                          \
      over(x, y, n, [](S::F32 v) __attribute__((always_inline)) { return f<S>(v); }); \
    } \
  }

constexpr UnaryFunction kUnary[] = {BCAI_UNARY(exp)};

}  // namespace

extern const ElementaryFunctions kElementaryFunctions;
const ElementaryFunctions kElementaryFunctions = {.unary = kUnary, .binary = {}};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
