// SPDX-License-Identifier: Apache-2.0
// One small vocabulary over vectors of f32 and i32, for code that is written once and compiled per
// SIMD level (cmake/kernels.cmake). A translation unit sees exactly one implementation, Avx512,
// Avx2 or Portable, by the flags it is compiled with, and names it Simd; templates take it as S.
//
// Every operation is IEEE 754 binary32, round to nearest even, so all three give the same bits.
// What NaN an operation returns is not defined: canonical_nan (elementary.h) makes it so on the way
// out.
//
//   kLanes                           16, 8, 4
//   F32 I32 Mask                     vectors, and a choice per lane
//   set(float|int32_t)               all lanes equal
//   load store                       kLanes elements, any alignment of the element type
//   load_partial(p, n)               lanes [0, n), the others 0, 0 <= n <= kLanes; memory past n is
//   store_partial(p, v, n)             not touched
//   add sub mul div sqrt neg abs     neg and abs change the sign bit alone
//   fma(a, b, c)                     a * b + c, rounded once
//   larger(a, b)                     a > b ? a : b   (b when unordered or equal)
//   smaller(a, b)                    a < b ? a : b
//   round floor                      to an integer (to nearest even; down), |x| of any size
//   scale(v, n)                      v * 2^n rounded once, n integral, |n| <= 252, v = 0 or
//                                      2^-24 <= |v| <= 2^24 (for others: any value, no trap)
//   lt le eq unordered               masks; false on NaN but unordered
//   both either negated none first(n) any select(m, a, b)   first: lanes [0, n), 0 <= n <= kLanes
//   bits(F32) of_bits(I32)           the same 32 bits
//   add sub mul band bor bxor        of I32: wraps; bit operations
//   shift_left<k> shift_right<k> shift_right_logical<k>
//   lt eq                            of I32: masks, signed
//   to_i32(F32)                      to nearest even, for |x| <= 2^22; else any value, no trap
//   to_f32(I32)                      rounded
//   sum16 product16 largest16 smallest16   of 16 / kLanes vectors as 16 lanes: 16 -> 8 -> 4 -> 2 ->
//   1,
//                                    r[i] = r[i] op r[i + h]; largest, smallest by larger, smaller
//   lookup16(table, i)               table[i & 15] per lane; 64-byte aligned table of 16 floats
#pragma once

#define BCAI_INLINE inline __attribute__((always_inline))
#define BCAI_LAMBDA __attribute__((always_inline))

#if defined(__AVX512F__)
#include "vm/numerics/simd_avx512.h"
namespace bcai::vm {
using Simd = Avx512;
}
#elif defined(__AVX2__) && defined(__FMA__)
#include "vm/numerics/simd_avx2.h"
namespace bcai::vm {
using Simd = Avx2;
}
#else
#include "vm/numerics/simd_portable.h"
namespace bcai::vm {
using Simd = Portable;
}
#endif
