// SPDX-License-Identifier: Apache-2.0
// Loops over compile-time indices. For *_simd.cc alone.
#pragma once

#include "vm/numerics/simd.h"

namespace bcai::vm {

template <int n>
struct Index {
  static constexpr int value = n;
};

// f(Index<0>{}), f(Index<1>{}), ... without a loop, whatever the compiler thinks of unrolling.
template <int n, int i = 0, class F>
constexpr BCAI_INLINE void unroll(const F& f) {
  if constexpr (i < n) {
    f(Index<i>{});
    unroll<n, i + 1>(f);
  }
}

}  // namespace bcai::vm
