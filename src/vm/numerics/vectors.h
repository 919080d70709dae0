// SPDX-License-Identifier: Apache-2.0
// An array as vectors: as many whole ones as fit, then the first lanes of one more.
#pragma once

#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// How much of a vector is there: all of it, or its first n lanes. keep gives v in the lanes that
// are there and `other` elsewhere.
template <typename S>
struct Whole {
  template <typename T>
  BCAI_INLINE auto load(const T* p) const {
    return S::load(p);
  }
  template <typename T, typename V>
  BCAI_INLINE void store(T* p, V v) const {
    S::store(p, v);
  }
  BCAI_INLINE typename S::F32 keep(typename S::F32 v, typename S::F32) const { return v; }
};

template <typename S>
struct First {
  int64_t n;

  template <typename T>
  BCAI_INLINE auto load(const T* p) const {
    return S::load_partial(p, n);
  }
  template <typename T, typename V>
  BCAI_INLINE void store(T* p, V v) const {
    S::store_partial(p, v, n);
  }
  BCAI_INLINE typename S::F32 keep(typename S::F32 v, typename S::F32 other) const {
    return S::select(S::first(n), v, other);
  }
};

// Calls body(i, part) for the vectors of [0, n).
template <typename S, typename Body>
BCAI_INLINE void for_vectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + S::kLanes <= n; i += S::kLanes) body(i, Whole<S>{});
  if (i < n) body(i, First<S>{n - i});
}

}  // namespace bcai::vm
