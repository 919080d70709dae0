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

template <typename Function>
BCAI_INLINE void over(const float* x, const float* y, float* z, int64_t n, Function function) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) {
    S::store(z + i, canonical_nan<S>(function(S::load(x + i), S::load(y + i))));
  }
  if (i < n) {
    const auto last = function(S::load_partial(x + i, n - i), S::load_partial(y + i, n - i));
    S::store_partial(z + i, canonical_nan<S>(last), n - i);
  }
}

// The expression is of v, or of v and w.
#define BCAI_UNARY(name, expression)                                                    \
  UnaryFunction {                                                                       \
    name, [](const float* x, float* y, int64_t n) {                                     \
      over(                                                                             \
          x, y, n, [](S::F32 v) __attribute__((always_inline)) { return expression; }); \
    }                                                                                   \
  }
#define BCAI_BINARY(name, expression)                                                    \
  BinaryFunction {                                                                       \
    name, [](const float* x, const float* y, float* z, int64_t n) {                      \
      over(                                                                              \
          x, y, z, n,                                                                    \
          [](S::F32 v, S::F32 w) __attribute__((always_inline)) { return expression; }); \
    }                                                                                    \
  }

constexpr UnaryFunction kUnary[] = {
    BCAI_UNARY("exp", exp<S>(v)),
    BCAI_UNARY("log", log<S>(v)),
    BCAI_UNARY("tanh", tanh<S>(v)),
    BCAI_UNARY("erf", erf<S>(v)),
    BCAI_UNARY("sin", sin<S>(v)),
    BCAI_UNARY("cos", cos<S>(v)),
    BCAI_UNARY("sigmoid", sigmoid<S>(v)),
    BCAI_UNARY("gelu_erf", gelu_erf<S>(v)),
    BCAI_UNARY("gelu_tanh", gelu_tanh<S>(v)),
    BCAI_UNARY("silu", silu<S>(v)),
    BCAI_UNARY("softplus", softplus<S>(v)),
    BCAI_UNARY("hard_sigmoid", hard_sigmoid<S>(v, S::set(0x1.555556p-3f), S::set(0.5f))),
    BCAI_UNARY("hard_swish", hard_swish<S>(v)),
    BCAI_UNARY("recip", recip<S>(v)),
    BCAI_UNARY("sqrt", S::sqrt(v)),
    BCAI_UNARY("rsqrt", rsqrt<S>(v)),
    BCAI_UNARY("relu", relu<S>(v)),
    BCAI_UNARY("round", S::round(v)),
    BCAI_UNARY("floor", S::floor(v)),
};

constexpr BinaryFunction kBinary[] = {
    BCAI_BINARY("pow", pow<S>(v, w)),
    BCAI_BINARY("maximum", maximum<S>(v, w)),
    BCAI_BINARY("minimum", minimum<S>(v, w)),
};

}  // namespace

extern const ElementaryFunctions kElementaryFunctions;
const ElementaryFunctions kElementaryFunctions = {.unary = kUnary, .binary = kBinary};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
