// SPDX-License-Identifier: Apache-2.0
// simd.h for AVX-512 F, VL, DQ and BW. Included by simd.h alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "vm/numerics/simd_fold.h"

namespace bcai::vm {

struct Avx512 {
  using Avx8 = Fold8<16>;
  static constexpr int kLanes = 16;
  using F32 = __m512;
  using I32 = __m512i;
  using Mask = __mmask16;

  static BCAI_INLINE Mask first(int64_t n) { return static_cast<Mask>((1u << n) - 1); }

  static BCAI_INLINE F32 set(float x) { return _mm512_set1_ps(x); }
  static BCAI_INLINE I32 set(int32_t x) { return _mm512_set1_epi32(x); }
  static BCAI_INLINE F32 load(const float* p) { return _mm512_loadu_ps(p); }
  static BCAI_INLINE I32 load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static BCAI_INLINE void store(float* p, F32 v) { _mm512_storeu_ps(p, v); }
  static BCAI_INLINE void store(int32_t* p, I32 v) { _mm512_storeu_si512(p, v); }
  static BCAI_INLINE F32 load_partial(const float* p, int64_t n) {
    return _mm512_maskz_loadu_ps(first(n), p);
  }
  static BCAI_INLINE I32 load_partial(const int32_t* p, int64_t n) {
    return _mm512_maskz_loadu_epi32(first(n), p);
  }
  static BCAI_INLINE void store_partial(float* p, F32 v, int64_t n) {
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  static BCAI_INLINE void store_partial(int32_t* p, I32 v, int64_t n) {
    _mm512_mask_storeu_epi32(p, first(n), v);
  }

  static BCAI_INLINE F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
  static BCAI_INLINE F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
  static BCAI_INLINE F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
  static BCAI_INLINE F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
  static BCAI_INLINE F32 sqrt(F32 a) { return _mm512_sqrt_ps(a); }
  static BCAI_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
  static BCAI_INLINE F32 neg(F32 a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  static BCAI_INLINE F32 abs(F32 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
  static BCAI_INLINE F32 larger(F32 a, F32 b) { return _mm512_max_ps(a, b); }
  static BCAI_INLINE F32 smaller(F32 a, F32 b) { return _mm512_min_ps(a, b); }
  static BCAI_INLINE F32 round(F32 a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static BCAI_INLINE F32 floor(F32 a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  static BCAI_INLINE F32 scale(F32 v, F32 n) { return _mm512_scalef_ps(v, n); }

  static BCAI_INLINE Mask lt(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static BCAI_INLINE Mask le(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static BCAI_INLINE Mask eq(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static BCAI_INLINE Mask unordered(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
  static BCAI_INLINE Mask both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
  static BCAI_INLINE Mask either(Mask a, Mask b) { return static_cast<Mask>(a | b); }
  static BCAI_INLINE Mask negated(Mask a) { return static_cast<Mask>(~a); }
  static BCAI_INLINE Mask none() { return 0; }
  static BCAI_INLINE bool any(Mask a) { return a != 0; }
  static BCAI_INLINE F32 select(Mask m, F32 a, F32 b) { return _mm512_mask_blend_ps(m, b, a); }
  static BCAI_INLINE I32 select(Mask m, I32 a, I32 b) { return _mm512_mask_blend_epi32(m, b, a); }

  static BCAI_INLINE I32 bits(F32 a) { return _mm512_castps_si512(a); }
  static BCAI_INLINE F32 of_bits(I32 a) { return _mm512_castsi512_ps(a); }
  static BCAI_INLINE I32 add(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
  static BCAI_INLINE I32 sub(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
  static BCAI_INLINE I32 mul(I32 a, I32 b) { return _mm512_mullo_epi32(a, b); }
  static BCAI_INLINE I32 band(I32 a, I32 b) { return _mm512_and_si512(a, b); }
  static BCAI_INLINE I32 bor(I32 a, I32 b) { return _mm512_or_si512(a, b); }
  static BCAI_INLINE I32 bxor(I32 a, I32 b) { return _mm512_xor_si512(a, b); }
  template <unsigned k>
  static BCAI_INLINE I32 shift_left(I32 a) {
    return _mm512_slli_epi32(a, k);
  }
  template <unsigned k>
  static BCAI_INLINE I32 shift_right(I32 a) {
    return _mm512_srai_epi32(a, k);
  }
  template <unsigned k>
  static BCAI_INLINE I32 shift_right_logical(I32 a) {
    return _mm512_srli_epi32(a, k);
  }
  static BCAI_INLINE Mask lt(I32 a, I32 b) { return _mm512_cmplt_epi32_mask(a, b); }
  static BCAI_INLINE Mask eq(I32 a, I32 b) { return _mm512_cmpeq_epi32_mask(a, b); }
  static BCAI_INLINE I32 to_i32(F32 a) { return _mm512_cvtps_epi32(a); }
  static BCAI_INLINE F32 to_f32(I32 a) { return _mm512_cvtepi32_ps(a); }
  static BCAI_INLINE float sum16(const F32 (&v)[1]) {
    return Avx8::fold<Avx8::Sum>(_mm256_add_ps(low(v[0]), high(v[0])));
  }
  static BCAI_INLINE float product16(const F32 (&v)[1]) {
    return Avx8::fold<Avx8::Product>(_mm256_mul_ps(low(v[0]), high(v[0])));
  }
  static BCAI_INLINE float largest16(const F32 (&v)[1]) {
    return Avx8::fold<Avx8::Largest>(_mm256_max_ps(low(v[0]), high(v[0])));
  }
  static BCAI_INLINE float smallest16(const F32 (&v)[1]) {
    return Avx8::fold<Avx8::Smallest>(_mm256_min_ps(low(v[0]), high(v[0])));
  }
  static BCAI_INLINE __m256 low(F32 v) { return _mm512_castps512_ps256(v); }
  static BCAI_INLINE __m256 high(F32 v) { return _mm512_extractf32x8_ps(v, 1); }
  static BCAI_INLINE F32 lookup16(const float* table, I32 index) {
    return _mm512_permutexvar_ps(index, _mm512_load_ps(table));
  }
};

}  // namespace bcai::vm
