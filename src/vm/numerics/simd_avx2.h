// SPDX-License-Identifier: Apache-2.0
// simd.h for AVX2 with FMA. Included by simd.h alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "vm/numerics/simd_fold.h"

namespace bcai::vm {

struct Avx2 {
  using Avx8 = Fold8<8>;
  static constexpr int kLanes = 8;
  using F32 = __m256;
  using I32 = __m256i;
  // All bits of a lane are equal.
  struct Mask {
    __m256 lanes;
  };

  static BCAI_INLINE Mask first(int64_t n) { return {_mm256_castsi256_ps(first_bits(n))}; }
  static BCAI_INLINE I32 first_bits(int64_t n) {
    const I32 index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)), index);
  }

  static BCAI_INLINE F32 set(float x) { return _mm256_set1_ps(x); }
  static BCAI_INLINE I32 set(int32_t x) { return _mm256_set1_epi32(x); }
  static BCAI_INLINE F32 load(const float* p) { return _mm256_loadu_ps(p); }
  static BCAI_INLINE I32 load(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static BCAI_INLINE void store(float* p, F32 v) { _mm256_storeu_ps(p, v); }
  static BCAI_INLINE void store(int32_t* p, I32 v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static BCAI_INLINE F32 load_partial(const float* p, int64_t n) {
    return _mm256_maskload_ps(p, first_bits(n));
  }
  static BCAI_INLINE I32 load_partial(const int32_t* p, int64_t n) {
    return _mm256_maskload_epi32(p, first_bits(n));
  }
  static BCAI_INLINE void store_partial(float* p, F32 v, int64_t n) {
    _mm256_maskstore_ps(p, first_bits(n), v);
  }
  static BCAI_INLINE void store_partial(int32_t* p, I32 v, int64_t n) {
    _mm256_maskstore_epi32(p, first_bits(n), v);
  }

  static BCAI_INLINE F32 add(F32 a, F32 b) { return _mm256_add_ps(a, b); }
  static BCAI_INLINE F32 sub(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
  static BCAI_INLINE F32 mul(F32 a, F32 b) { return _mm256_mul_ps(a, b); }
  static BCAI_INLINE F32 div(F32 a, F32 b) { return _mm256_div_ps(a, b); }
  static BCAI_INLINE F32 sqrt(F32 a) { return _mm256_sqrt_ps(a); }
  static BCAI_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }
  static BCAI_INLINE F32 neg(F32 a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  static BCAI_INLINE F32 abs(F32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static BCAI_INLINE F32 larger(F32 a, F32 b) { return _mm256_max_ps(a, b); }
  static BCAI_INLINE F32 smaller(F32 a, F32 b) { return _mm256_min_ps(a, b); }
  static BCAI_INLINE F32 round(F32 a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static BCAI_INLINE F32 floor(F32 a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  // Two exact powers of two; the first product is exact, the second rounds.
  static BCAI_INLINE F32 scale(F32 v, F32 n) {
    const I32 whole = to_i32(n);
    const I32 half = shift_right<1>(whole);
    const I32 rest = sub(whole, half);
    const I32 one = set(int32_t{127 << 23});
    return mul(mul(v, of_bits(add(shift_left<23>(half), one))),
               of_bits(add(shift_left<23>(rest), one)));
  }

  static BCAI_INLINE Mask lt(F32 a, F32 b) { return {_mm256_cmp_ps(a, b, _CMP_LT_OQ)}; }
  static BCAI_INLINE Mask le(F32 a, F32 b) { return {_mm256_cmp_ps(a, b, _CMP_LE_OQ)}; }
  static BCAI_INLINE Mask eq(F32 a, F32 b) { return {_mm256_cmp_ps(a, b, _CMP_EQ_OQ)}; }
  static BCAI_INLINE Mask unordered(F32 a, F32 b) { return {_mm256_cmp_ps(a, b, _CMP_UNORD_Q)}; }
  static BCAI_INLINE Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.lanes, b.lanes)}; }
  static BCAI_INLINE Mask either(Mask a, Mask b) { return {_mm256_or_ps(a.lanes, b.lanes)}; }
  static BCAI_INLINE Mask negated(Mask a) {
    return {_mm256_xor_ps(a.lanes, of_bits(set(int32_t{-1})))};
  }
  static BCAI_INLINE Mask none() { return {_mm256_setzero_ps()}; }
  static BCAI_INLINE bool any(Mask a) { return _mm256_movemask_ps(a.lanes) != 0; }
  static BCAI_INLINE F32 select(Mask m, F32 a, F32 b) { return _mm256_blendv_ps(b, a, m.lanes); }
  static BCAI_INLINE I32 select(Mask m, I32 a, I32 b) {
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m.lanes));
  }

  static BCAI_INLINE I32 bits(F32 a) { return _mm256_castps_si256(a); }
  static BCAI_INLINE F32 of_bits(I32 a) { return _mm256_castsi256_ps(a); }
  static BCAI_INLINE I32 add(I32 a, I32 b) { return _mm256_add_epi32(a, b); }
  static BCAI_INLINE I32 sub(I32 a, I32 b) { return _mm256_sub_epi32(a, b); }
  static BCAI_INLINE I32 mul(I32 a, I32 b) { return _mm256_mullo_epi32(a, b); }
  static BCAI_INLINE I32 band(I32 a, I32 b) { return _mm256_and_si256(a, b); }
  static BCAI_INLINE I32 bor(I32 a, I32 b) { return _mm256_or_si256(a, b); }
  static BCAI_INLINE I32 bxor(I32 a, I32 b) { return _mm256_xor_si256(a, b); }
  template <int k>
  static BCAI_INLINE I32 shift_left(I32 a) {
    return _mm256_slli_epi32(a, k);
  }
  template <int k>
  static BCAI_INLINE I32 shift_right(I32 a) {
    return _mm256_srai_epi32(a, k);
  }
  template <int k>
  static BCAI_INLINE I32 shift_right_logical(I32 a) {
    return _mm256_srli_epi32(a, k);
  }
  static BCAI_INLINE Mask lt(I32 a, I32 b) { return {of_bits(_mm256_cmpgt_epi32(b, a))}; }
  static BCAI_INLINE Mask eq(I32 a, I32 b) { return {of_bits(_mm256_cmpeq_epi32(a, b))}; }
  static BCAI_INLINE I32 to_i32(F32 a) { return _mm256_cvtps_epi32(a); }
  static BCAI_INLINE F32 to_f32(I32 a) { return _mm256_cvtepi32_ps(a); }
  static BCAI_INLINE float sum16(const F32 (&v)[2]) {
    return Avx8::fold<Avx8::Sum>(_mm256_add_ps(v[0], v[1]));
  }
  static BCAI_INLINE float product16(const F32 (&v)[2]) {
    return Avx8::fold<Avx8::Product>(_mm256_mul_ps(v[0], v[1]));
  }
  static BCAI_INLINE float largest16(const F32 (&v)[2]) {
    return Avx8::fold<Avx8::Largest>(_mm256_max_ps(v[0], v[1]));
  }
  static BCAI_INLINE float smallest16(const F32 (&v)[2]) {
    return Avx8::fold<Avx8::Smallest>(_mm256_min_ps(v[0], v[1]));
  }
  static BCAI_INLINE F32 lookup16(const float* table, I32 index) {
    const F32 low = _mm256_permutevar8x32_ps(_mm256_load_ps(table), index);
    const F32 high = _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), index);
    return _mm256_blendv_ps(low, high, of_bits(shift_left<28>(index)));
  }
};

}  // namespace bcai::vm
