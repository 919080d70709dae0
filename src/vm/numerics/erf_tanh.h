// SPDX-License-Identifier: Apache-2.0
// erf, tanh and the two forms of gelu, by 16 polynomials in as many intervals of |x|.
// Included by elementary.h alone.
#pragma once

#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// [power of t][interval], from tools/numerics/coefficients.py. The widths are those for which the
// constants, row 0, lie nearest to floats.
alignas(64) inline constexpr float kErfCoefficients[6][16] = {
    {0.0f, 0x1.20ee1cp-2f, 0x1.0f6d2p-1f, 0x1.717c2cp-1f, 0x1.b40b4ap-1f, 0x1.dbbf68p-1f,
     0x1.f08fbap-1f, 0x1.fa2676p-1f, 0x1.fe0846p-1f, 0x1.ff69dap-1f, 0x1.ffd866p-1f, 0x1.fff6c4p-1f,
     0x1.fffe1ap-1f, 0x1.ffffa8p-1f, 0x1.fffff2p-1f, 0x1.fffffep-1f},
    {0x1.06eba8p-3f, 0x1.0e9be2p+0f, 0x1.bcf3cp-1f, 0x1.41084p-1f, 0x1.968b64p-2f, 0x1.c3d0eap-3f,
     0x1.b8aa76p-4f, 0x1.792eaap-5f, 0x1.1b5398p-6f, 0x1.758c8p-8f, 0x1.b03782p-10f,
     0x1.b6e262p-12f, 0x1.871ab2p-14f, 0x1.31dd58p-16f, 0x1.a3d894p-19f, 0x1.f9c2b2p-22f},
    {0x1.585f2cp-22f, -0x1.1491b2p-2f, -0x1.c6c11ap-2f, -0x1.ec27acp-2f, -0x1.9f8178p-2f,
     -0x1.209bap-2f, -0x1.51c68cp-3f, -0x1.5153b6p-4f, -0x1.21953p-5f, -0x1.ad839ap-7f,
     -0x1.1490bp-8f, -0x1.32c84cp-10f, -0x1.344766p-12f, -0x1.14c75cp-14f, -0x1.c223ccp-17f,
     -0x1.dbfb06p-20f},
    {-0x1.812bbap-2f, -0x1.39b7bep-2f, -0x1.1b729ap-3f, 0x1.2bd30ap-5f, 0x1.272e32p-3f,
     0x1.550298p-3f, 0x1.0fc9p-3f, 0x1.5355e8p-4f, 0x1.5b629ap-5f, 0x1.2a194ep-6f, 0x1.b2435ap-8f,
     0x1.0e9dbep-9f, 0x1.221464p-11f, 0x1.0c7088p-13f, 0x1.ae1abp-16f, 0x1.2aec1ap-18f},
    {0x1.41d4a8p-12f, 0x1.06ccccp-3f, 0x1.7588b4p-3f, 0x1.29e948p-3f, 0x1.fa8396p-5f,
     -0x1.8b6efap-7f, -0x1.7e417p-5f, -0x1.7ab71ap-5f, -0x1.01d2bp-5f, -0x1.0faab4p-6f,
     -0x1.b494fp-8f, -0x1.7c75dcp-9f, -0x1.1c2f12p-12f, 0x1.19a118p-13f, 0x1.827294p-14f,
     -0x1.522f7cp-17f},
    {0x1.c634cep-4f, 0x1.459346p-4f, 0x1.45d312p-8f, -0x1.c58d62p-5f, -0x1.16d9eap-4f,
     -0x1.654b4ep-5f, -0x1.72f02p-7f, 0x1.130d94p-7f, 0x1.aa42ap-7f, 0x1.3fb13cp-7f, 0x1.57c4b6p-8f,
     0x1.227744p-9f, 0x1.9157f8p-11f, 0x1.ce3682p-13f, 0x1.c16854p-15f, 0x1.73d26ep-17f},
};
alignas(64) inline constexpr float kTanhCoefficients[8][16] = {
    {0.0f, 0x1.0c9f88p-1f, 0x1.a5487p-1f, 0x1.e1e16ap-1f, 0x1.f66a62p-1f, 0x1.fcfe12p-1f,
     0x1.ff0f78p-1f, 0x1.ffb4f6p-1f, 0x1.ffe89ap-1f, 0x1.fff8b4p-1f, 0x1.fffdbap-1f, 0x1.ffff4ap-1f,
     0x1.ffffc8p-1f, 0x1.ffffeep-1f, 0x1.fffffap-1f, 0x1.fffffep-1f},
    {0x1.0a45aep-31f, 0x1.7310ccp-1f, 0x1.4ab8acp-2f, 0x1.d3bcaep-4f, 0x1.2fd4e6p-5f,
     0x1.7fd5a2p-7f, 0x1.e09ep-9f, 0x1.2c10b6p-10f, 0x1.765b1cp-12f, 0x1.d2e9aep-14f,
     0x1.2326fep-15f, 0x1.6b18f2p-17f, 0x1.c4d11ep-19f, 0x1.1a5a1cp-20f, 0x1.601e54p-22f,
     0x1.b71f9ap-24f},
    {-0x1.52609p-23f, -0x1.855c72p-2f, -0x1.102062p-2f, -0x1.b83c1ep-4f, -0x1.2a28bap-5f,
     -0x1.7d9d2ap-7f, -0x1.df5344p-9f, -0x1.2b5d6ap-10f, -0x1.77c96ep-12f, -0x1.cb1e46p-14f,
     -0x1.335c76p-15f, -0x1.0cad8p-17f, -0x1.dea684p-18f, 0x1.35209p-20f, 0x1.755582p-19f,
     0x1.c18df6p-20f},
    {-0x1.555326p-2f, -0x1.58c632p-5f, 0x1.c6ac04p-4f, 0x1.0268e2p-4f, 0x1.7e9168p-6f,
     0x1.f6c97cp-8f, 0x1.3ea67ep-9f, 0x1.8f66e8p-11f, 0x1.f2df0ap-13f, 0x1.373984p-14f,
     0x1.842ep-16f, 0x1.e41f72p-18f, 0x1.2ddfd2p-19f, 0x1.78788ep-21f, 0x1.d57dfcp-23f,
     0x1.24bff4p-24f},
    {-0x1.584b12p-13f, 0x1.30b594p-3f, -0x1.5bcb72p-9f, -0x1.804796p-6f, -0x1.5f6f62p-7f,
     -0x1.e6a486p-9f, -0x1.55cf28p-10f, -0x1.d044cp-12f, -0x1.380b96p-14f, -0x1.8d55ep-14f,
     0x1.978f56p-15f, -0x1.7e6cccp-14f, 0x1.e5e94ap-14f, -0x1.211638p-14f, -0x1.9658p-14f,
     -0x1.d02f02p-15f},
    {0x1.1428fep-3f, -0x1.885e36p-5f, -0x1.c39e4cp-6f, 0x1.e3f4a6p-9f, 0x1.db3ea8p-9f,
     0x1.75ee4p-10f, 0x1.f2390ep-12f, 0x1.3d1c5p-13f, 0x1.8e7d3ap-15f, 0x1.f14c28p-17f,
     0x1.36c772p-18f, 0x1.831a2ap-20f, 0x1.e37798p-22f, 0x1.2cee8cp-23f, 0x1.7763e2p-25f,
     0x1.d429ccp-27f},
    {-0x1.bd6e7p-8f, -0x1.0b5aeap-5f, 0x1.10b75cp-6f, 0x1.5d065cp-10f, -0x1.3a5a9p-10f,
     -0x1.65c12ap-11f, 0x1.3cc7fp-11f, 0x1.cc6318p-12f, -0x1.7c7f56p-12f, 0x1.d2409ep-12f,
     -0x1.eda7a6p-12f, 0x1.65e41cp-11f, -0x1.de7b9ep-11f, 0x1.186ce4p-11f, 0x1.8bfd2cp-11f,
     0x1.c455a8p-12f},
    {-0x1.509086p-5f, 0x1.e1142cp-6f, -0x1.b3efccp-9f, -0x1.138d4cp-9f, -0x1.d26d46p-15f,
     0x1.87d06ep-14f, 0x1.760fc6p-15f, 0x1.f20bb8p-17f, 0x1.210ceap-18f, 0x1.8fa678p-20f,
     0x1.babca2p-22f, 0x1.3512a2p-23f, 0x1.550cap-25f, 0x1.e9c836p-27f, 0x1.2e14aap-28f,
     0x1.75ac66p-30f},
};

// C + t q(t) with t = |x| - k width, k the nearest integer to |x| / width, C and q by k; |x| is cut
// at `last` and the result at 1, and the sign of x is put back. Adding 1.5 * 2^23 rounds to an
// integer and leaves it in the low bits. t is exact.
template <typename S, int kTerms>
BCAI_INLINE typename S::F32 odd_piecewise(typename S::F32 x, const float (&table)[kTerms][16],
                                          float width, float width_inverse, float last) {
  const auto magic = S::set(0x1.8p23f);
  const auto magnitude = S::smaller(S::set(last), S::abs(x));
  const auto shifted = S::fma(magnitude, S::set(width_inverse), magic);
  const auto interval = S::bits(shifted);
  const auto t = S::fma(S::sub(shifted, magic), S::set(-width), magnitude);
  auto q = S::lookup16(table[kTerms - 1], interval);
  for (int power = kTerms - 2; power >= 1; --power) {
    q = S::fma(q, t, S::lookup16(table[power], interval));
  }
  const auto start = S::select(S::eq(shifted, magic), t, S::lookup16(table[0], interval));
  const auto y = S::smaller(S::set(1.0f), S::fma(q, t, start));
  const auto sign = S::band(S::bits(x), S::set(INT32_MIN));
  return S::of_bits(S::bor(S::bits(y), sign));
}

// 1 from |x| = 3.92 on.
template <typename S>
BCAI_INLINE typename S::F32 erf(typename S::F32 x) {
  return odd_piecewise<S>(x, kErfCoefficients, 0x1.05a44p-2f, 0x1.f4f5c8p1f, 3.93f);
}

// 1 from |x| = 9.02 on.
template <typename S>
BCAI_INLINE typename S::F32 tanh(typename S::F32 x) {
  return odd_piecewise<S>(x, kTanhCoefficients, 0x1.2a5dp-1f, 0x1.b74daap0f, 9.03f);
}

// x / 2 * (1 + erf(x / sqrt(2))). The cut makes it -0 at minus infinity, and changes nothing above:
// erf is -1 there. Half of 1 + e is exact, so its factor may stand at either side.
template <typename S>
BCAI_INLINE typename S::F32 gelu_erf(typename S::F32 x) {
  x = S::larger(S::set(-6.0f), x);
  const auto e = erf<S>(S::mul(x, S::set(0x1.6a09e6p-1f)));
  return S::mul(x, S::fma(e, S::set(0.5f), S::set(0.5f)));
}

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
template <typename S>
BCAI_INLINE typename S::F32 gelu_tanh(typename S::F32 x) {
  x = S::larger(S::set(-6.0f), x);
  const auto square = S::mul(x, x);
  const auto slope = S::fma(square, S::set(0x1.2444f2p-5f), S::set(0x1.988454p-1f));
  const auto t = tanh<S>(S::mul(x, slope));
  return S::mul(x, S::fma(t, S::set(0.5f), S::set(0.5f)));
}

}  // namespace bcai::vm
