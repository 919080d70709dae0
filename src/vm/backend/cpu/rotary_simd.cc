// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/rotary.h"

#include "vm/backend/cpu/transpose.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

struct Halves {
  const float* a;
  const float* b;
  float* to_a;
  float* to_b;
};

void rotate(const Halves& x, const float* cosine, const float* sine, int64_t pairs) {
  for_vectors<S>(pairs, [&](int64_t i, auto part) BCAI_LAMBDA {
    const auto a = part.load(x.a + i), b = part.load(x.b + i);
    const auto c = part.load(cosine + i), s = part.load(sine + i);
    part.store(x.to_a + i, canonical_nan<S>(S::fma(a, c, S::neg(S::mul(b, s)))));
    part.store(x.to_b + i, canonical_nan<S>(S::fma(b, c, S::mul(a, s))));
  });
}

void rotate_neighbours(const float* x, float* y, const float* cosine, const float* sine,
                       int64_t pairs, float* scratch) {
  float* const a = scratch;
  float* const b = a + pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    a[i] = x[2 * i];
    b[i] = x[2 * i + 1];
  }
  rotate({a, b, b + pairs, b + 2 * pairs}, cosine, sine, pairs);
  for (int64_t i = 0; i < pairs; ++i) {
    y[2 * i] = b[pairs + i];
    y[2 * i + 1] = b[2 * pairs + i];
  }
}

void run(const RotaryArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t pairs = args.pairs;
  for (int64_t row = begin; row < end; ++row) {
    const float* cosine = args.cosine + row % args.angles * pairs;
    const float* sine = args.sine + row % args.angles * pairs;
    for (int64_t head = 0; head < args.heads; ++head) {
      const int64_t at = (row * args.heads + head) * args.size;
      const float* x = args.x + at;
      float* y = args.y + at;
      if (args.interleaved) {
        rotate_neighbours(x, y, cosine, sine, pairs, reinterpret_cast<float*>(scratch));
      } else {
        rotate({x, x + pairs, y, y + pairs}, cosine, sine, pairs);
      }
      copy<S>(x + 2 * pairs, args.size - 2 * pairs, y + 2 * pairs);
    }
  }
}

}  // namespace

extern const RotaryKernels kRotaryKernels;
const RotaryKernels kRotaryKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
