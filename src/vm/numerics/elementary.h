// SPDX-License-Identifier: Apache-2.0
// The elementary functions of profile n1 over a vector S::F32 (simd.h): polynomials with fixed
// coefficients and a fixed order of operations, so the same bits wherever binary32 is IEEE. They
// are frozen: docs/formats/numerics_n1.md states each one with its worst error, and a change of a
// single bit is a new profile. Coefficients are minimax fits, printed by
// tools/numerics/coefficients.py.
//
// A NaN that a function returns may have any sign and payload; whoever writes a tensor passes it
// through canonical_nan (rule R11).
#pragma once

#include "vm/numerics/erf_tanh.h"
#include "vm/numerics/exp_log.h"
#include "vm/numerics/power.h"
#include "vm/numerics/simd.h"
#include "vm/numerics/sine.h"

namespace bcai::vm {

// NaN becomes the one NaN that tensors hold, 0x7fc00000; all else is unchanged.
template <typename S>
BCAI_INLINE typename S::F32 canonical_nan(typename S::F32 x) {
  return S::select(S::unordered(x, x), S::of_bits(S::set(int32_t{0x7fc00000})), x);
}

// Rule R5: NaN if either is NaN; a result of zero is +0, so that no order can be seen.
template <typename S>
BCAI_INLINE typename S::F32 maximum(typename S::F32 a, typename S::F32 b) {
  const auto m = S::add(S::larger(a, b), S::set(0.0f));
  return S::select(S::unordered(a, b), S::of_bits(S::set(int32_t{0x7fc00000})), m);
}

template <typename S>
BCAI_INLINE typename S::F32 minimum(typename S::F32 a, typename S::F32 b) {
  const auto m = S::add(S::smaller(a, b), S::set(0.0f));
  return S::select(S::unordered(a, b), S::of_bits(S::set(int32_t{0x7fc00000})), m);
}

// maximum(x, 0).
template <typename S>
BCAI_INLINE typename S::F32 relu(typename S::F32 x) {
  return S::add(S::larger(S::set(0.0f), x), S::set(0.0f));
}

// low if x < low, high if x > high, else x itself, NaN too. low <= high.
template <typename S>
BCAI_INLINE typename S::F32 clamp(typename S::F32 x, typename S::F32 low, typename S::F32 high) {
  return S::smaller(high, S::larger(low, x));
}

// -1, 1, +0 of a zero of either sign, and NaN of NaN.
template <typename S>
BCAI_INLINE typename S::F32 sign(typename S::F32 x) {
  const auto zero = S::add(x, S::set(0.0f));
  const auto positive = S::select(S::lt(S::set(0.0f), x), S::set(1.0f), zero);
  return S::select(S::lt(x, S::set(0.0f)), S::set(-1.0f), positive);
}

// clamp(slope * x + offset, 0, 1), fused.
template <typename S>
BCAI_INLINE typename S::F32 hard_sigmoid(typename S::F32 x, typename S::F32 slope,
                                         typename S::F32 offset) {
  return clamp<S>(S::fma(x, slope, offset), S::set(0.0f), S::set(1.0f));
}

// x * hard_sigmoid(x, 1/6, 1/2); -0 at minus infinity.
template <typename S>
BCAI_INLINE typename S::F32 hard_swish(typename S::F32 x) {
  x = S::larger(S::set(-3.0f), x);
  return S::mul(x, hard_sigmoid<S>(x, S::set(0x1.555556p-3f), S::set(0.5f)));
}

// 1 / x.
template <typename S>
BCAI_INLINE typename S::F32 recip(typename S::F32 x) {
  return S::div(S::set(1.0f), x);
}

// 1 / sqrt(x), each rounded.
template <typename S>
BCAI_INLINE typename S::F32 rsqrt(typename S::F32 x) {
  return S::div(S::set(1.0f), S::sqrt(x));
}

}  // namespace bcai::vm
