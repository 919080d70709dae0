// SPDX-License-Identifier: Apache-2.0
// The elementary functions of profile n1 over a vector S::F32 (simd.h): polynomials with fixed
// coefficients and a fixed order of operations, so the same bits wherever binary32 is IEEE. They
// are frozen: docs/formats/numerics_n1.md states each one with its worst error, and a change of a
// single bit is a new profile. Coefficients are minimax, from tools/numerics.
//
// A NaN that a function returns may have any sign and payload; whoever writes a tensor passes it
// through canonical_nan (rule R11).
#pragma once

#include "vm/numerics/simd.h"

namespace bcai::vm {

// NaN becomes the one NaN that tensors hold, 0x7fc00000; all else is unchanged.
template <typename S>
BCAI_INLINE typename S::F32 canonical_nan(typename S::F32 x) {
  return S::select(S::unordered(x, x), S::of_bits(S::set(int32_t{0x7fc00000})), x);
}

// e^x. Results below 2^-150 are 0, below 2^-126 denormal, from 2^128 infinity.
template <typename S>
BCAI_INLINE typename S::F32 exp(typename S::F32 x) {
  // The bounds come first: larger and smaller return their second operand when it is NaN.
  x = S::larger(S::set(-104.0f), x);
  x = S::smaller(S::set(89.0f), x);
  // x = n ln 2 + r with |r| <= ln 2 / 2. The high part of ln 2 has 17 bits: n times it is taken
  // from x without an error.
  const auto n = S::round(S::mul(x, S::set(0x1.715476p0f)));
  auto r = S::fma(n, S::set(-0x1.62e4p-1f), x);
  r = S::fma(n, S::set(-0x1.7f7d1cp-20f), r);
  auto p = S::fma(S::set(0x1.6ac74ep-10f), r, S::set(0x1.123dep-7f));
  p = S::fma(p, r, S::set(0x1.555858p-5f));
  p = S::fma(p, r, S::set(0x1.55548cp-3f));
  p = S::fma(p, r, S::set(0x1.fffffcp-2f));
  p = S::fma(p, r, S::set(1.0f));
  p = S::fma(p, r, S::set(1.0f));
  return S::scale(p, n);
}

}  // namespace bcai::vm
