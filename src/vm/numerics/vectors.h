// SPDX-License-Identifier: Apache-2.0
// An array as vectors: as many whole ones as fit, then the first lanes of one more.
#pragma once

#include <cstdint>
#include <type_traits>

#include "vm/numerics/simd.h"
#include "vm/numerics/simd_several.h"

namespace bcai::vm {

// How much of a vector is there: all of it, or its first n lanes. keep gives v in the lanes that
// are there and `other` elsewhere.
template <typename S>
struct Whole {
  using Simd = S;

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
  using Simd = S;

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

template <typename S>
using SideBySide = std::conditional_t<kSideBySide<S> == 1, S, Several<S, kSideBySide<S>>>;

// for_vectors with SideBySide<S> while there are as many: for long chains of operations. The body
// computes in decltype(part)::Simd.
template <typename S, typename Body>
BCAI_INLINE void for_vectors_side_by_side(int64_t n, Body body) {
  using Wide = SideBySide<S>;
  int64_t i = 0;
  for (; i + Wide::kLanes <= n; i += Wide::kLanes) body(i, Whole<Wide>{});
  for (; i + S::kLanes <= n; i += S::kLanes) body(i, Whole<S>{});
  if (i < n) body(i, First<S>{n - i});
}

}  // namespace bcai::vm
