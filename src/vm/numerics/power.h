// SPDX-License-Identifier: Apache-2.0
// x^y, as 2^(y log2 x) with the logarithm in two floats. Included by elementary.h alone.
#pragma once

#include <cstdint>
#include <limits>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// For each of 16 intervals of the mantissa m: c, near 1 / m in 8 bits; log2(1 / c) = high + low,
// high a multiple of 2^-15. The interval around 1 has c = 1, so that log2 is exact to the last bit
// there.
alignas(64) inline constexpr float kLog2Inverse[16] = {
    0x1.64p+0f, 0x1.56p+0f, 0x1.48p+0f, 0x1.3cp+0f, 0x1.3p+0f, 0x1.24p+0f, 0x1.1ap+0f, 0x1.12p+0f,
    0x1.08p+0f, 0x1p+0f,    0x1.ep-1f,  0x1.c8p-1f, 0x1.bp-1f, 0x1.98p-1f, 0x1.88p-1f, 0x1.74p-1f};
alignas(64) inline constexpr float kLog2High[16] = {
    -0x1.e728p-2f, -0x1.abep-2f, -0x1.6e2p-2f, -0x1.371p-2f, -0x1.fbcp-3f, -0x1.84cp-3f,
    -0x1.1ddp-3f,  -0x1.918p-4f, -0x1.6bcp-5f, 0.0f,         0x1.7d6p-4f,  0x1.564p-3f,
    0x1.f6p-3f,    0x1.4f7p-2f,  0x1.8a88p-2f, 0x1.d7e8p-2f};
alignas(64) inline constexpr float kLog2Low[16] = {
    0x1.55e18ap-18f,  -0x1.8797f2p-18f, -0x1.0e6ce8p-17f, -0x1.267526p-17f, -0x1.6b9026p-19f,
    -0x1.5e8178p-18f, 0x1.734556p-18f,  -0x1.42dc8cp-17f, 0x1.2c8a72p-17f,  0.0f,
    0x1.25b3eep-22f,  -0x1.1eb002p-18f, -0x1.3ab7cep-18f, -0x1.134c4ep-20f, 0x1.80abfcp-18f,
    -0x1.3f543cp-18f};
inline constexpr float kLog2E[2] = {0x1.715476p0f, 0x1.4ae0cp-26f};

template <typename S>
struct TwoFloats {
  typename S::F32 high;
  typename S::F32 low;
};

// log2 of a positive finite x, to 2^-32 of its value: high is the sum rounded, low the rest.
template <typename S>
BCAI_INLINE TwoFloats<S> log2_two(typename S::F32 x) {
  const auto tiny = S::lt(x, S::set(0x1p-126f));
  const auto bits = S::bits(S::select(tiny, S::mul(x, S::set(0x1p23f)), x));
  // x = 2^e m, and the interval of m: 16 from 0x1.68p-1 (0x3f340000) on.
  const auto offset = S::sub(bits, S::set(int32_t{0x3f340000}));
  const auto e = S::template shift_right<23>(offset);
  const auto interval = S::template shift_right<19>(offset);
  const auto m = S::of_bits(S::sub(bits, S::template shift_left<23>(e)));
  const auto k = S::add(S::to_f32(e), S::select(tiny, S::set(-23.0f), S::set(0.0f)));
  const auto whole = S::add(k, S::lookup16(kLog2High, interval));  // Exact.

  // m c = 1 + r + rest, exactly; |r| < 0.0333.
  const auto c = S::lookup16(kLog2Inverse, interval);
  const auto product = S::mul(m, c);
  const auto rest = S::fma(m, c, S::neg(product));
  const auto r = S::sub(product, S::set(1.0f));

  // r log2(e), in two floats.
  const auto first = S::mul(r, S::set(kLog2E[0]));
  auto first_low = S::fma(r, S::set(kLog2E[0]), S::neg(first));
  first_low = S::fma(r, S::set(kLog2E[1]), first_low);
  first_low = S::fma(rest, S::set(kLog2E[0]), first_low);

  // -r^2 / 2 log2(e), in two floats.
  const auto square = S::mul(r, r);
  const auto square_low = S::fma(r, r, S::neg(square));
  const auto half = S::set(-0.5f * kLog2E[0]);
  const auto second = S::mul(square, half);
  auto second_low = S::fma(square, half, S::neg(second));
  second_low = S::fma(square, S::set(-0.5f * kLog2E[1]), second_low);
  second_low = S::fma(square_low, half, second_low);
  const auto cross = S::mul(S::sub(r, square), rest);  // What rest adds to r^2 / 2 - r^3 / 3.
  second_low = S::fma(cross, S::set(-kLog2E[0]), second_low);

  auto tail = S::fma(S::set(-0x1.ecebe6p-3f), r, S::set(0x1.27ccaap-2f));
  tail = S::fma(tail, r, S::set(-0x1.715472p-2f));
  tail = S::fma(tail, r, S::set(0x1.ec7096p-2f));
  tail = S::mul(S::mul(square, r), tail);

  // Each sum is of a larger and a smaller one, so its error is exact.
  const auto sum = S::add(whole, first);
  const auto sum_error = S::sub(first, S::sub(sum, whole));
  const auto total = S::add(sum, second);
  const auto total_error = S::sub(second, S::sub(total, sum));
  auto low = S::add(S::add(first_low, second_low), S::lookup16(kLog2Low, interval));
  low = S::add(S::add(tail, low), S::add(sum_error, total_error));
  const auto high = S::add(total, low);
  return {high, S::sub(low, S::sub(high, total))};
}

// 2^(y log2 x) for x > 0; any finite x may be given. Beyond |y| = 2^40 nothing changes: unless x is
// 1 the result is 0 or infinity.
template <typename S>
BCAI_INLINE typename S::F32 pow_positive(typename S::F32 x, typename S::F32 y) {
  y = S::smaller(S::set(0x1p40f), S::larger(S::set(-0x1p40f), y));
  const auto log = log2_two<S>(x);
  const auto power = S::mul(y, log.high);
  auto rest = S::fma(y, log.high, S::neg(power));
  rest = S::fma(y, log.low, rest);
  // A power past the ends saturates; its rest, which then may be large, must not bring it back.
  const auto bounded = S::smaller(S::set(250.0f), S::larger(S::set(-250.0f), power));
  rest = S::smaller(S::set(1.0f), S::larger(S::set(-1.0f), rest));
  const auto n = S::round(bounded);
  const auto f = S::add(S::sub(bounded, n), rest);
  auto p = S::fma(S::set(0x1.417682p-13f), f, S::set(0x1.5f096p-10f));
  p = S::fma(p, f, S::set(0x1.3b2dd6p-7f));
  p = S::fma(p, f, S::set(0x1.c6af7ap-5f));
  p = S::fma(p, f, S::set(0x1.ebfbdcp-3f));
  p = S::fma(p, f, S::set(0x1.62e43p-1f));
  p = S::fma(p, f, S::set(1.0f));
  return S::scale(p, n);
}

// x^y with the special cases of IEEE 754 pow.
template <typename S>
BCAI_INLINE typename S::F32 pow(typename S::F32 x, typename S::F32 y) {
  const auto zero = S::set(0.0f);
  const auto one = S::set(1.0f);
  const auto infinity = S::set(std::numeric_limits<float>::infinity());
  const auto nan = S::set(std::numeric_limits<float>::quiet_NaN());
  const auto magnitude = S::abs(x);

  auto result = pow_positive<S>(magnitude, y);
  // 0 and infinity: one of them by the sign of y.
  const auto grows = S::select(S::lt(y, zero), zero, infinity);
  const auto falls = S::select(S::lt(y, zero), infinity, zero);
  result = S::select(S::eq(magnitude, infinity), grows, result);
  result = S::select(S::eq(magnitude, zero), falls, result);

  // An integral y is odd if its half is not integral: from 2^24 on every float is even.
  const auto integral = S::eq(S::round(y), y);
  const auto half = S::mul(y, S::set(0.5f));
  const auto even = S::eq(S::round(half), half);
  const auto sign = S::band(S::bits(x), S::set(INT32_MIN));
  const auto flipped = S::of_bits(S::bor(S::bits(result), sign));
  result = S::select(integral, S::select(even, result, flipped), result);
  const auto root_of_negative = S::lt(x, zero);
  const auto defined = S::either(integral, S::eq(magnitude, infinity));
  result = S::select(root_of_negative, S::select(defined, result, nan), result);

  result = S::select(S::unordered(x, y), nan, result);
  return S::select(S::either(S::eq(y, zero), S::eq(x, one)), one, result);
}

}  // namespace bcai::vm
