// SPDX-License-Identifier: Apache-2.0
// The epilogue over a tile that has just been summed and is still in L1. For *_simd.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/epilogue.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/erf_tanh.h"
#include "vm/numerics/exp_log.h"
#include "vm/numerics/simd.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm {

// The part of an epilogue that belongs to one tile.
struct FinishArgs {
  const float* sums;  // may be the output
  ptrdiff_t sums_stride;
  float* output;
  ptrdiff_t output_stride;
  int64_t rows;
  int64_t columns;
  const Epilogue* epilogue;
  const float* bias;      // of the first column, or null
  const float* residual;  // of the first element, or null
};

template <class S, EpilogueActivation kActivation>
BCAI_INLINE typename S::F32 activate(typename S::F32 x, const Epilogue& e) {
  switch (kActivation) {
    case EpilogueActivation::kNone: return x;
    case EpilogueActivation::kRelu: return relu<S>(x);
    case EpilogueActivation::kGeluErf: return gelu_erf<S>(x);
    case EpilogueActivation::kGeluTanh: return gelu_tanh<S>(x);
    case EpilogueActivation::kSilu: return silu<S>(x);
    case EpilogueActivation::kSigmoid: return sigmoid<S>(x);
    case EpilogueActivation::kTanh: return tanh<S>(x);
    case EpilogueActivation::kClamp: return clamp<S>(x, S::set(e.low), S::set(e.high));
    case EpilogueActivation::kHardSwish: return hard_swish<S>(x);
    case EpilogueActivation::kHardSigmoid:
      return hard_sigmoid<S>(x, S::set(e.slope), S::set(e.offset));
  }
  return x;
}

template <class S, EpilogueActivation kActivation>
void finish_as(const FinishArgs& args) {
  // Copies: for all the compiler knows, a store changes what `args` leads to.
  const Epilogue e = *args.epilogue;
  const float* const bias = args.bias;
  const int64_t columns = args.columns;
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* const sums = args.sums + r * args.sums_stride;
    const float* const residual =
        args.residual == nullptr ? nullptr : args.residual + r * e.residual_stride;
    float* const output = args.output + r * args.output_stride;
    for_vectors_side_by_side<S>(columns, [=](int64_t j, auto part) BCAI_LAMBDA {
      using V = typename decltype(part)::Simd;
      auto x = part.load(sums + j);
      if (bias != nullptr) x = V::add(x, part.load(bias + j));
      x = activate<V, kActivation>(x, e);
      if (residual != nullptr) {
        x = V::add(x, part.load(residual + j));
        if (e.relu_last) x = relu<V>(x);
      }
      part.store(output + j, canonical_nan<V>(x));
    });
  }
}

template <class S>
void finish(const FinishArgs& args) {
  switch (args.epilogue->activation) {
    case EpilogueActivation::kNone: return finish_as<S, EpilogueActivation::kNone>(args);
    case EpilogueActivation::kRelu: return finish_as<S, EpilogueActivation::kRelu>(args);
    case EpilogueActivation::kGeluErf: return finish_as<S, EpilogueActivation::kGeluErf>(args);
    case EpilogueActivation::kGeluTanh: return finish_as<S, EpilogueActivation::kGeluTanh>(args);
    case EpilogueActivation::kSilu: return finish_as<S, EpilogueActivation::kSilu>(args);
    case EpilogueActivation::kSigmoid: return finish_as<S, EpilogueActivation::kSigmoid>(args);
    case EpilogueActivation::kTanh: return finish_as<S, EpilogueActivation::kTanh>(args);
    case EpilogueActivation::kClamp: return finish_as<S, EpilogueActivation::kClamp>(args);
    case EpilogueActivation::kHardSwish: return finish_as<S, EpilogueActivation::kHardSwish>(args);
    case EpilogueActivation::kHardSigmoid:
      return finish_as<S, EpilogueActivation::kHardSigmoid>(args);
  }
}

}  // namespace bcai::vm
