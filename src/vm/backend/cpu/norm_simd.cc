// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/norm.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

BCAI_INLINE float canonical(float x) { return x != x ? __builtin_nanf("") : x; }

BCAI_INLINE float inverse_root(float x) { return 1.0f / __builtin_sqrtf(x); }

// y = finish(scaled x, gamma, beta) with what is there of the two.
template <typename Scaled>
BCAI_INLINE void write_row(const NormArgs& args, int64_t row, Scaled scaled) {
  const float* x = args.x + row * args.n;
  float* y = args.y + row * args.n;
  const float* gamma = args.gamma;
  const float* beta = args.beta;
  if (gamma == nullptr) {
    for_vectors<S>(
        args.n, [=](int64_t i, auto part) __attribute__((always_inline)) {
          part.store(y + i, canonical_nan<S>(scaled(part.load(x + i))));
        });
  } else if (beta == nullptr) {
    for_vectors<S>(
        args.n, [=](int64_t i, auto part) __attribute__((always_inline)) {
          const auto v = S::mul(scaled(part.load(x + i)), part.load(gamma + i));
          part.store(y + i, canonical_nan<S>(v));
        });
  } else {
    for_vectors<S>(
        args.n, [=](int64_t i, auto part) __attribute__((always_inline)) {
          const auto v =
              S::fma(scaled(part.load(x + i)), part.load(gamma + i), part.load(beta + i));
          part.store(y + i, canonical_nan<S>(v));
        });
  }
}

void layer_norm(const NormArgs& args, int64_t begin, int64_t end, std::byte*) {
  const auto count = static_cast<float>(args.n);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = args.x + row * args.n;
    const float mean = sum<S>(x, args.n) / count;
    const float variance = sum_of_squares<S>(x, mean, args.n) / count;
    const float scale = inverse_root(variance + args.epsilon);
    if (args.mean != nullptr) args.mean[row] = canonical(mean);
    if (args.scale != nullptr) args.scale[row] = canonical(scale);
    const auto center = S::set(mean), factor = S::set(scale);
    write_row(
        args, row, [=](S::F32 v) __attribute__((always_inline)) {
          return S::mul(S::sub(v, center), factor);
        });
  }
}

void rms_norm(const NormArgs& args, int64_t begin, int64_t end, std::byte*) {
  const auto count = static_cast<float>(args.n);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = args.x + row * args.n;
    const float scale = inverse_root(dot<S>(x, x, args.n) / count + args.epsilon);
    if (args.scale != nullptr) args.scale[row] = canonical(scale);
    const auto factor = S::set(scale);
    write_row(
        args, row, [=](S::F32 v) __attribute__((always_inline)) { return S::mul(v, factor); });
  }
}

}  // namespace

extern const NormKernels kNormKernels;
const NormKernels kNormKernels = {.layer_norm = layer_norm, .rms_norm = rms_norm};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
