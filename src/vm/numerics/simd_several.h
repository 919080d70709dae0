// SPDX-License-Identifier: Apache-2.0
// n vectors of a SIMD vocabulary as one: what is written once over S computes them side by side, so
// that one goes on while another waits. The scheduler of a processor sees a few dozen operations at
// a time, which of a long chain like an exponential are all of one vector or two.
#pragma once

#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

template <class S, int n>
struct Several {
  struct F32 {
    typename S::F32 v[n];
  };
  struct I32 {
    typename S::I32 v[n];
  };
  struct Mask {
    typename S::Mask v[n];
  };
  static constexpr int kLanes = n * S::kLanes;

  // f(0), f(1), ... as the vectors.
  template <class F>
  static BCAI_INLINE F32 each(const F& f) {
    F32 result;
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) result.v[i] = f(i);
    return result;
  }

#define BCAI_EACH(Result, expression)                                               \
  Result result;                                                                    \
  _Pragma("GCC unroll 8") for (int i = 0; i < n; ++i) { result.v[i] = expression; } \
  return result

  static BCAI_INLINE F32 set(float x) { BCAI_EACH(F32, S::set(x)); }
  static BCAI_INLINE I32 set(int32_t x) { BCAI_EACH(I32, S::set(x)); }
  static BCAI_INLINE F32 load(const float* p) { BCAI_EACH(F32, S::load(p + i * S::kLanes)); }
  static BCAI_INLINE I32 load(const int32_t* p) { BCAI_EACH(I32, S::load(p + i * S::kLanes)); }
  template <class T, class V>
  static BCAI_INLINE void store(T* p, V v) {
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) S::store(p + i * S::kLanes, v.v[i]);
  }

#define BCAI_UNARY(Result, name, A) \
  static BCAI_INLINE Result name(A a) { BCAI_EACH(Result, S::name(a.v[i])); }
#define BCAI_BINARY(Result, name, A) \
  static BCAI_INLINE Result name(A a, A b) { BCAI_EACH(Result, S::name(a.v[i], b.v[i])); }
  BCAI_BINARY(F32, add, F32)
  BCAI_BINARY(F32, sub, F32)
  BCAI_BINARY(F32, mul, F32)
  BCAI_BINARY(F32, div, F32)
  BCAI_BINARY(F32, larger, F32)
  BCAI_BINARY(F32, smaller, F32)
  BCAI_BINARY(F32, scale, F32)
  BCAI_UNARY(F32, sqrt, F32)
  BCAI_UNARY(F32, neg, F32)
  BCAI_UNARY(F32, abs, F32)
  BCAI_UNARY(F32, round, F32)
  BCAI_UNARY(F32, floor, F32)
  BCAI_UNARY(I32, bits, F32)
  BCAI_UNARY(F32, of_bits, I32)
  BCAI_UNARY(I32, to_i32, F32)
  BCAI_UNARY(F32, to_f32, I32)
  BCAI_BINARY(Mask, lt, F32)
  BCAI_BINARY(Mask, le, F32)
  BCAI_BINARY(Mask, eq, F32)
  BCAI_BINARY(Mask, unordered, F32)
  BCAI_BINARY(Mask, lt, I32)
  BCAI_BINARY(Mask, eq, I32)
  BCAI_BINARY(Mask, both, Mask)
  BCAI_BINARY(Mask, either, Mask)
  BCAI_UNARY(Mask, negated, Mask)
  BCAI_BINARY(I32, add, I32)
  BCAI_BINARY(I32, sub, I32)
  BCAI_BINARY(I32, mul, I32)
  BCAI_BINARY(I32, band, I32)
  BCAI_BINARY(I32, bor, I32)
  BCAI_BINARY(I32, bxor, I32)
#undef BCAI_UNARY
#undef BCAI_BINARY
  static BCAI_INLINE F32 fma(F32 a, F32 b, F32 c) {
    BCAI_EACH(F32, S::fma(a.v[i], b.v[i], c.v[i]));
  }
  template <class V>
  static BCAI_INLINE V select(Mask m, V a, V b) {
    BCAI_EACH(V, S::select(m.v[i], a.v[i], b.v[i]));
  }
  template <unsigned k>
  static BCAI_INLINE I32 shift_left(I32 a) {
    BCAI_EACH(I32, S::template shift_left<k>(a.v[i]));
  }
  template <unsigned k>
  static BCAI_INLINE I32 shift_right(I32 a) {
    BCAI_EACH(I32, S::template shift_right<k>(a.v[i]));
  }
  template <unsigned k>
  static BCAI_INLINE I32 shift_right_logical(I32 a) {
    BCAI_EACH(I32, S::template shift_right_logical<k>(a.v[i]));
  }
  static BCAI_INLINE bool any(Mask a) {
    auto found = a.v[0];
    for (int i = 1; i < n; ++i) found = S::either(found, a.v[i]);
    return S::any(found);
  }
  static BCAI_INLINE F32 lookup16(const float* table, I32 index) {
    BCAI_EACH(F32, S::lookup16(table, index.v[i]));
  }
#undef BCAI_EACH
};

// How many vectors of a long chain of operations are worth computing side by side: as many as the
// registers hold, with constants.
template <class S>
inline constexpr int kSideBySide = S::kLanes == 16  ? 4
                                   : S::kLanes == 8 ? 2
                                                    : 1;

}  // namespace bcai::vm
