// SPDX-License-Identifier: Apache-2.0
// sin and cos. Included by elementary.h alone.
#pragma once

#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// pi / 2 in three parts of 24 bits.
inline constexpr float kHalfPi[3] = {0x1.921fb6p0f, -0x1.777a5cp-25f, -0x1.ee59dap-50f};
// Up to here n = x / (pi / 2) has at most 17 bits, and x - n kHalfPi[0] is exact.
inline constexpr float kThreePartsMax = 0x1p17f;
// 2 / pi: 32 zero bits, then those after the point.
inline constexpr uint32_t kTwoOverPi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                           0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

// An angle as n quarter turns and r in [-pi/4, pi/4], a little more where n was rounded. Only the
// low two bits of n mean anything.
template <typename S>
struct QuarterTurns {
  typename S::I32 n;
  typename S::F32 r;
};

// The scalar form for a finite x >= 2^17, in integers: 24 bits of x times the 96 bits of 2 / pi
// that matter, modulo 4. The fraction is exact to 2^-62; two IEEE operations in binary64 and a
// rounding to binary32 make it an angle.
template <typename S>
float reduce_large_angle(float x, int32_t& n) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
  // x = mantissa 2^(e - 150); the bits of 2 / pi of weight 4 and more, times that, drop out.
  const uint32_t skipped = (bits >> 23) - 150 + 30;
  const uint32_t word = skipped >> 5;
  const uint32_t shift = skipped & 31;
  uint64_t part[3];
  for (uint32_t k = 0; k < 3; ++k) {
    const uint64_t pair = uint64_t{kTwoOverPi[word + k]} << 32 | kTwoOverPi[word + k + 1];
    part[k] = (pair >> (32 - shift)) & 0xffffffff;
  }
  const uint64_t turns =
      ((mantissa * part[0]) << 32) + mantissa * part[1] + ((mantissa * part[2]) >> 32);
  const uint64_t nearest = (turns + (uint64_t{1} << 61)) >> 62;
  n = static_cast<int32_t>(nearest & 3);
  const auto fraction = static_cast<int64_t>(turns - (nearest << 62));
  return static_cast<float>(static_cast<double>(fraction) * 0x1.921fb54442d18p-62);
}

template <typename S>
__attribute__((noinline)) void reduce_large_angles(const float* x, float* r, int32_t* n) {
  for (int k = 0; k < S::kLanes; ++k) {
    if (!(x[k] > kThreePartsMax)) continue;
    if (x[k] - x[k] == 0.0f) {
      r[k] = reduce_large_angle<S>(x[k], n[k]);
    } else {
      r[k] = __builtin_nanf("");
    }
  }
}

// Of |x|.
template <typename S>
BCAI_INLINE QuarterTurns<S> reduce_angle(typename S::F32 magnitude) {
  const auto n = S::round(S::mul(magnitude, S::set(0x1.45f306p-1f)));
  auto r = S::fma(n, S::set(-kHalfPi[0]), magnitude);
  r = S::fma(n, S::set(-kHalfPi[1]), r);
  r = S::fma(n, S::set(-kHalfPi[2]), r);
  QuarterTurns<S> turns{S::to_i32(n), r};
  if (S::any(S::lt(S::set(kThreePartsMax), magnitude))) {
    float x[S::kLanes], reduced[S::kLanes];
    int32_t quarters[S::kLanes];
    S::store(x, magnitude);
    S::store(reduced, turns.r);
    S::store(quarters, turns.n);
    reduce_large_angles<S>(x, reduced, quarters);
    turns = {S::load(quarters), S::load(reduced)};
  }
  return turns;
}

// sin(n pi/2 + r): the sine or the cosine of r by the low bit of n, its sign by the next one.
template <typename S>
BCAI_INLINE typename S::F32 sine_of_turns(typename S::I32 n, typename S::F32 r) {
  const auto z = S::mul(r, r);
  auto s = S::fma(S::set(-0x1.991c24p-13f), z, S::set(0x1.1106c6p-7f));
  s = S::fma(s, z, S::set(-0x1.555544p-3f));
  s = S::fma(S::mul(z, s), r, r);
  auto c = S::fma(S::set(0x1.99e33p-16f), z, S::set(-0x1.6c0c1ep-10f));
  c = S::fma(c, z, S::set(0x1.55554ap-5f));
  c = S::fma(S::mul(z, z), c, S::fma(z, S::set(-0.5f), S::set(1.0f)));
  const auto one = S::set(int32_t{1});
  const auto y = S::select(S::eq(S::band(n, one), one), c, s);
  const auto sign = S::template shift_left<30>(S::band(n, S::set(int32_t{2})));
  return S::of_bits(S::bxor(S::bits(y), sign));
}

// NaN at the infinities.
template <typename S>
BCAI_INLINE typename S::F32 sin(typename S::F32 x) {
  const auto turns = reduce_angle<S>(S::abs(x));
  const auto sign = S::band(S::bits(x), S::set(INT32_MIN));
  return S::of_bits(S::bxor(S::bits(sine_of_turns<S>(turns.n, turns.r)), sign));
}

template <typename S>
BCAI_INLINE typename S::F32 cos(typename S::F32 x) {
  const auto turns = reduce_angle<S>(S::abs(x));
  return sine_of_turns<S>(S::add(turns.n, S::set(int32_t{1})), turns.r);
}

}  // namespace bcai::vm
