// SPDX-License-Identifier: Apache-2.0
// simd.h in plain C++: four lanes, which compilers turn into SSE2 or NEON where that keeps the
// bits. std::fma is exact wherever it is computed. Included by simd.h alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace bcai::vm {

struct Portable {
  static constexpr int kLanes = 4;
  struct F32 {
    float lane[4];
  };
  struct I32 {
    int32_t lane[4];
  };
  struct Mask {
    bool lane[4];
  };

  template <typename R, typename Function>
  static BCAI_INLINE R each(Function function) {
    R result;
    for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
    return result;
  }
  // Integers wrap, as the vector units' do.
  static BCAI_INLINE uint32_t u(int32_t x) { return static_cast<uint32_t>(x); }
  static BCAI_INLINE int32_t i(uint32_t x) { return static_cast<int32_t>(x); }

  static BCAI_INLINE Mask first(int64_t n) {
    return each<Mask>([=](int k) { return k < n; });
  }
  static BCAI_INLINE F32 set(float x) {
    return each<F32>([=](int) { return x; });
  }
  static BCAI_INLINE I32 set(int32_t x) {
    return each<I32>([=](int) { return x; });
  }
  static BCAI_INLINE F32 load(const float* p) {
    return each<F32>([=](int k) { return p[k]; });
  }
  static BCAI_INLINE I32 load(const int32_t* p) {
    return each<I32>([=](int k) { return p[k]; });
  }
  static BCAI_INLINE void store(float* p, F32 v) {
    for (int k = 0; k < kLanes; ++k) p[k] = v.lane[k];
  }
  static BCAI_INLINE void store(int32_t* p, I32 v) {
    for (int k = 0; k < kLanes; ++k) p[k] = v.lane[k];
  }
  static BCAI_INLINE F32 load_partial(const float* p, int64_t n) {
    return each<F32>([=](int k) { return k < n ? p[k] : 0.0f; });
  }
  static BCAI_INLINE I32 load_partial(const int32_t* p, int64_t n) {
    return each<I32>([=](int k) { return k < n ? p[k] : 0; });
  }
  static BCAI_INLINE void store_partial(float* p, F32 v, int64_t n) {
    for (int k = 0; k < n; ++k) p[k] = v.lane[k];
  }
  static BCAI_INLINE void store_partial(int32_t* p, I32 v, int64_t n) {
    for (int k = 0; k < n; ++k) p[k] = v.lane[k];
  }

#define BCAI_LANES(result, expression) return each<result>([=](int k) { return expression; })
  static BCAI_INLINE F32 add(F32 a, F32 b) { BCAI_LANES(F32, a.lane[k] + b.lane[k]); }
  static BCAI_INLINE F32 sub(F32 a, F32 b) { BCAI_LANES(F32, a.lane[k] - b.lane[k]); }
  static BCAI_INLINE F32 mul(F32 a, F32 b) { BCAI_LANES(F32, a.lane[k] * b.lane[k]); }
  static BCAI_INLINE F32 div(F32 a, F32 b) { BCAI_LANES(F32, a.lane[k] / b.lane[k]); }
  static BCAI_INLINE F32 sqrt(F32 a) { BCAI_LANES(F32, __builtin_sqrtf(a.lane[k])); }
  static BCAI_INLINE F32 fma(F32 a, F32 b, F32 c) {
    BCAI_LANES(F32, __builtin_fmaf(a.lane[k], b.lane[k], c.lane[k]));
  }
  static BCAI_INLINE F32 neg(F32 a) { return of_bits(bxor(bits(a), set(INT32_MIN))); }
  static BCAI_INLINE F32 abs(F32 a) { return of_bits(band(bits(a), set(INT32_MAX))); }
  static BCAI_INLINE F32 larger(F32 a, F32 b) {
    BCAI_LANES(F32, a.lane[k] > b.lane[k] ? a.lane[k] : b.lane[k]);
  }
  static BCAI_INLINE F32 smaller(F32 a, F32 b) {
    BCAI_LANES(F32, a.lane[k] < b.lane[k] ? a.lane[k] : b.lane[k]);
  }
  // Adding 2^23 to a smaller magnitude rounds it to an integer; the sign is put back for -0.
  static BCAI_INLINE F32 round(F32 a) {
    const F32 magnitude = abs(a);
    const F32 rounded = sub(add(magnitude, set(0x1p23f)), set(0x1p23f));
    const I32 sign = band(bits(a), set(INT32_MIN));
    return select(lt(magnitude, set(0x1p23f)), of_bits(bor(bits(rounded), sign)), a);
  }
  // Zeros keep the operand's sign, as the vector instructions' do.
  static BCAI_INLINE F32 floor(F32 a) {
    const F32 near = round(a);
    const F32 down = select(lt(a, near), sub(near, set(1.0f)), near);
    const I32 sign = band(bits(a), set(INT32_MIN));
    return select(eq(down, set(0.0f)), of_bits(bor(bits(down), sign)), down);
  }
  static BCAI_INLINE F32 scale(F32 v, F32 n) {
    const I32 whole = to_i32(n);
    const I32 half = shift_right<1>(whole);
    const I32 rest = sub(whole, half);
    const I32 one = set(int32_t{127 << 23});
    return mul(mul(v, of_bits(add(shift_left<23>(half), one))),
               of_bits(add(shift_left<23>(rest), one)));
  }

  static BCAI_INLINE Mask lt(F32 a, F32 b) { BCAI_LANES(Mask, a.lane[k] < b.lane[k]); }
  static BCAI_INLINE Mask le(F32 a, F32 b) { BCAI_LANES(Mask, a.lane[k] <= b.lane[k]); }
  static BCAI_INLINE Mask eq(F32 a, F32 b) { BCAI_LANES(Mask, a.lane[k] == b.lane[k]); }
  static BCAI_INLINE Mask unordered(F32 a, F32 b) {
    BCAI_LANES(Mask, a.lane[k] != a.lane[k] || b.lane[k] != b.lane[k]);
  }
  static BCAI_INLINE Mask both(Mask a, Mask b) { BCAI_LANES(Mask, a.lane[k] && b.lane[k]); }
  static BCAI_INLINE Mask either(Mask a, Mask b) { BCAI_LANES(Mask, a.lane[k] || b.lane[k]); }
  static BCAI_INLINE Mask negated(Mask a) { BCAI_LANES(Mask, !a.lane[k]); }
  static BCAI_INLINE Mask none() { return {}; }
  static BCAI_INLINE bool any(Mask a) { return a.lane[0] || a.lane[1] || a.lane[2] || a.lane[3]; }
  static BCAI_INLINE F32 select(Mask m, F32 a, F32 b) {
    BCAI_LANES(F32, m.lane[k] ? a.lane[k] : b.lane[k]);
  }
  static BCAI_INLINE I32 select(Mask m, I32 a, I32 b) {
    BCAI_LANES(I32, m.lane[k] ? a.lane[k] : b.lane[k]);
  }

  static BCAI_INLINE I32 bits(F32 a) {
    I32 result;
    std::memcpy(&result, &a, sizeof result);
    return result;
  }
  static BCAI_INLINE F32 of_bits(I32 a) {
    F32 result;
    std::memcpy(&result, &a, sizeof result);
    return result;
  }
  static BCAI_INLINE I32 add(I32 a, I32 b) { BCAI_LANES(I32, i(u(a.lane[k]) + u(b.lane[k]))); }
  static BCAI_INLINE I32 sub(I32 a, I32 b) { BCAI_LANES(I32, i(u(a.lane[k]) - u(b.lane[k]))); }
  static BCAI_INLINE I32 mul(I32 a, I32 b) { BCAI_LANES(I32, i(u(a.lane[k]) * u(b.lane[k]))); }
  static BCAI_INLINE I32 band(I32 a, I32 b) { BCAI_LANES(I32, a.lane[k] & b.lane[k]); }
  static BCAI_INLINE I32 bor(I32 a, I32 b) { BCAI_LANES(I32, a.lane[k] | b.lane[k]); }
  static BCAI_INLINE I32 bxor(I32 a, I32 b) { BCAI_LANES(I32, a.lane[k] ^ b.lane[k]); }
  template <int n>
  static BCAI_INLINE I32 shift_left(I32 a) {
    BCAI_LANES(I32, i(u(a.lane[k]) << n));
  }
  template <int n>
  static BCAI_INLINE I32 shift_right(I32 a) {
    BCAI_LANES(I32, a.lane[k] >> n);
  }
  template <int n>
  static BCAI_INLINE I32 shift_right_logical(I32 a) {
    BCAI_LANES(I32, i(u(a.lane[k]) >> n));
  }
  static BCAI_INLINE Mask lt(I32 a, I32 b) { BCAI_LANES(Mask, a.lane[k] < b.lane[k]); }
  static BCAI_INLINE Mask eq(I32 a, I32 b) { BCAI_LANES(Mask, a.lane[k] == b.lane[k]); }
  // Adding 1.5 * 2^23 leaves the integer in the low bits, and converts nothing that could trap.
  static BCAI_INLINE I32 to_i32(F32 a) {
    return sub(bits(add(a, set(0x1.8p23f))), set(int32_t{0x4b400000}));
  }
  static BCAI_INLINE F32 to_f32(I32 a) { BCAI_LANES(F32, static_cast<float>(a.lane[k])); }
  static BCAI_INLINE F32 lookup16(const float* table, I32 index) {
    BCAI_LANES(F32, table[index.lane[k] & 15]);
  }
  template <typename Operation>
  static BCAI_INLINE float fold16(const F32 (&v)[4], Operation of) {
    const F32 r = of(of(v[0], v[2]), of(v[1], v[3]));
    const F32 pair = of(r, F32{{r.lane[2], r.lane[3], r.lane[2], r.lane[3]}});
    return of(pair, F32{{pair.lane[1], pair.lane[1], pair.lane[1], pair.lane[1]}}).lane[0];
  }
  static BCAI_INLINE float sum16(const F32 (&v)[4]) {
    return fold16(v, [](F32 a, F32 b) { return add(a, b); });
  }
  static BCAI_INLINE float product16(const F32 (&v)[4]) {
    return fold16(v, [](F32 a, F32 b) { return mul(a, b); });
  }
  static BCAI_INLINE float largest16(const F32 (&v)[4]) {
    return fold16(v, [](F32 a, F32 b) { return larger(a, b); });
  }
  static BCAI_INLINE float smallest16(const F32 (&v)[4]) {
    return fold16(v, [](F32 a, F32 b) { return smaller(a, b); });
  }
#undef BCAI_LANES
};

}  // namespace bcai::vm
