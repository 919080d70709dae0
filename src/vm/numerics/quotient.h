// SPDX-License-Identifier: Apache-2.0
// Division of many by one with the bits of IEEE division and without the divider: from the rounded
// reciprocal r of s, q = v r is within one unit of v / s, the remainder v - q s is exact in one
// fma, and q + remainder r is v / s correctly rounded (Markstein 1990) unless something underflows.
// Vectors where it could are divided.
#pragma once

#include "vm/numerics/simd.h"

namespace bcai::vm {

// For 1 <= s <= 2^63, or NaN.
template <typename S>
class QuotientBy {
 public:
  explicit BCAI_INLINE QuotientBy(typename S::F32 s) : s_(s), r_(S::div(S::set(1.0f), s)) {}
  // The same in all lanes; inverse is 1 / s.
  BCAI_INLINE QuotientBy(float s, float inverse) : s_(S::set(s)), r_(S::set(inverse)) {}

  // For 0 <= v <= 1, or NaN.
  BCAI_INLINE typename S::F32 operator()(typename S::F32 v) const {
    const auto tiny = S::lt(v, S::set(0x1p-30f));
    if (S::any(tiny) && S::any(S::both(tiny, S::lt(S::set(0.0f), v)))) return S::div(v, s_);
    return corrected(v);
  }

  // For any v. A zero would lose its sign, and infinity become NaN.
  BCAI_INLINE typename S::F32 of_any(typename S::F32 v) const {
    const auto size = S::abs(v);
    const auto ordinary = S::both(S::lt(S::set(0x1p-30f), size), S::lt(size, S::set(0x1p127f)));
    if (S::any(S::negated(ordinary))) return S::div(v, s_);
    return corrected(v);
  }

 private:
  BCAI_INLINE typename S::F32 corrected(typename S::F32 v) const {
    const auto q = S::mul(v, r_);
    return S::fma(S::fma(S::neg(q), s_, v), r_, q);
  }

  typename S::F32 s_;
  typename S::F32 r_;
};

}  // namespace bcai::vm
