// SPDX-License-Identifier: Apache-2.0
// exp and log, and what is made of them: sigmoid, silu, softplus. Included by elementary.h alone.
#pragma once

#include <cstdint>
#include <limits>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// ln 2 = high + low. The high part has 17 bits: a small integer times it is taken from a float of
// about that size without an error.
inline constexpr float kLn2High = 0x1.62e4p-1f;
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;

// e^x where x is not above 89. Results below 2^-150 are 0, below 2^-126 denormal.
template <typename S>
BCAI_INLINE typename S::F32 exp_to_89(typename S::F32 x) {
  // larger, as smaller, returns its second operand when it is NaN.
  x = S::larger(S::set(-104.0f), x);
  // x = n ln 2 + r with |r| <= ln 2 / 2.
  const auto n = S::round(S::mul(x, S::set(0x1.715476p0f)));
  auto r = S::fma(n, S::set(-kLn2High), x);
  r = S::fma(n, S::set(-kLn2Low), r);
  auto p = S::fma(S::set(0x1.6a4d6p-10f), r, S::set(0x1.12398ep-7f));
  p = S::fma(p, r, S::set(0x1.5558bp-5f));
  p = S::fma(p, r, S::set(0x1.555492p-3f));
  p = S::fma(p, r, S::set(0x1.fffffcp-2f));
  p = S::fma(p, r, S::set(1.0f));
  p = S::fma(p, r, S::set(1.0f));
  return S::scale(p, n);
}

// e^x; from 2^128 infinity.
template <typename S>
BCAI_INLINE typename S::F32 exp(typename S::F32 x) {
  return exp_to_89<S>(S::smaller(S::set(89.0f), x));
}

// k ln 2 + log(1 + f) for sqrt(1/2) <= 1 + f < sqrt(2) and an integral k.
template <typename S>
BCAI_INLINE typename S::F32 log_of_parts(typename S::F32 k, typename S::F32 f) {
  const auto square = S::mul(f, f);
  auto p = S::fma(S::set(-0x1.38c2a6p-4f), f, S::set(0x1.055ce8p-3f));
  p = S::fma(p, f, S::set(-0x1.0d82a4p-3f));
  p = S::fma(p, f, S::set(0x1.22d96ep-3f));
  p = S::fma(p, f, S::set(-0x1.547288p-3f));
  p = S::fma(p, f, S::set(0x1.99a01ap-3f));
  p = S::fma(p, f, S::set(-0x1.000226p-2f));
  p = S::fma(p, f, S::set(0x1.555554p-2f));
  auto y = S::fma(S::mul(square, f), p, S::mul(k, S::set(kLn2Low)));
  y = S::fma(square, S::set(-0.5f), y);
  return S::fma(k, S::set(kLn2High), S::add(f, y));
}

// The natural logarithm. -infinity at both zeros, NaN below.
template <typename S>
BCAI_INLINE typename S::F32 log(typename S::F32 x) {
  const auto infinity = std::numeric_limits<float>::infinity();
  // Denormals are brought up by 2^23.
  const auto tiny = S::lt(x, S::set(0x1p-126f));
  const auto bits = S::bits(S::select(tiny, S::mul(x, S::set(0x1p23f)), x));
  // x = 2^e m with sqrt(1/2) <= m < sqrt(2).
  const auto e = S::template shift_right<23>(S::sub(bits, S::set(int32_t{0x3f3504f3})));
  const auto m = S::of_bits(S::sub(bits, S::template shift_left<23>(e)));
  const auto k = S::add(S::to_f32(e), S::select(tiny, S::set(-23.0f), S::set(0.0f)));
  auto y = log_of_parts<S>(k, S::sub(m, S::set(1.0f)));
  y = S::select(S::lt(x, S::set(infinity)), y, x);
  y = S::select(S::lt(x, S::set(0.0f)), S::set(std::numeric_limits<float>::quiet_NaN()), y);
  return S::select(S::eq(x, S::set(0.0f)), S::set(-infinity), y);
}

// e^-|x|, which cannot overflow.
template <typename S>
BCAI_INLINE typename S::F32 exp_minus_abs(typename S::F32 x) {
  return exp_to_89<S>(S::of_bits(S::bor(S::bits(x), S::set(INT32_MIN))));
}

// 1 / (1 + e^-x).
template <typename S>
BCAI_INLINE typename S::F32 sigmoid(typename S::F32 x) {
  const auto e = exp_minus_abs<S>(x);
  const auto numerator = S::select(S::lt(x, S::set(0.0f)), e, S::set(1.0f));
  return S::div(numerator, S::add(e, S::set(1.0f)));
}

// x * sigmoid(x) with one division. The cut makes it -0 at minus infinity, and changes nothing
// above: e^-104 is 0.
template <typename S>
BCAI_INLINE typename S::F32 silu(typename S::F32 x) {
  x = S::larger(S::set(-104.0f), x);
  const auto e = exp_minus_abs<S>(x);
  const auto numerator = S::select(S::lt(x, S::set(0.0f)), e, S::set(1.0f));
  return S::div(S::mul(x, numerator), S::add(e, S::set(1.0f)));
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
template <typename S>
BCAI_INLINE typename S::F32 softplus(typename S::F32 x) {
  const auto e = exp_minus_abs<S>(x);
  // Above sqrt(2) - 1 the sum is halved, and its half is 1 + (e - 1) / 2.
  const auto high = S::lt(S::set(0x1.a8279ap-2f), e);
  const auto half = S::mul(S::sub(e, S::set(1.0f)), S::set(0.5f));
  const auto k = S::select(high, S::set(1.0f), S::set(0.0f));
  const auto y = log_of_parts<S>(k, S::select(high, half, e));
  return S::add(S::larger(S::set(0.0f), x), y);
}

}  // namespace bcai::vm
