// SPDX-License-Identifier: Apache-2.0
// Division of many by one with the bits of IEEE division and without the divider: from the rounded
// reciprocal r of s, q = v r is within one unit of v / s, the remainder v - q s is exact in one
// fma, and q + remainder r is v / s correctly rounded (Markstein 1990) unless something underflows.
// Vectors where it could are divided.
#pragma once

#include "vm/numerics/simd.h"

namespace bcai::vm {

// For 0 <= v <= 1 and 1 <= s <= 2^63, or NaN in either.
template <typename S>
class QuotientBy {
 public:
  explicit BCAI_INLINE QuotientBy(typename S::F32 s) : s_(s), r_(S::div(S::set(1.0f), s)) {}

  BCAI_INLINE typename S::F32 operator()(typename S::F32 v) const {
    const auto tiny = S::lt(v, S::set(0x1p-30f));
    if (S::any(tiny) && S::any(S::both(tiny, S::lt(S::set(0.0f), v)))) return S::div(v, s_);
    const auto q = S::mul(v, r_);
    return S::fma(S::fma(S::neg(q), s_, v), r_, q);
  }

 private:
  typename S::F32 s_;
  typename S::F32 r_;
};

}  // namespace bcai::vm
