// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/resize.h"

#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

template <class Sample>
BCAI_INLINE S::F32 along(const ResizeBlend& blend, const Sample& sample) {
  const auto a = sample(blend.low);
  if (blend.weight == 0) return a;
  return S::fma(S::sub(sample(blend.high), a), S::set(blend.weight), a);
}

void resize_line(const ResizeArgs& args, int64_t unit) {
  const int64_t image = unit / (args.out[0] * args.out[1]);
  const ResizeBlend& first = args.blends[0][unit / args.out[1] % args.out[0]];
  const ResizeBlend& second = args.blends[1][unit % args.out[1]];
  const int64_t pixel = args.channels;
  const int64_t line = args.in[2] * pixel;
  const int64_t plane = args.in[1] * line;
  const float* x = args.x + image * args.in[0] * plane;
  float* y = args.y + unit * args.out[2] * pixel;
  for (int64_t i = 0; i < args.out[2]; ++i, y += pixel) {
    const ResizeBlend& third = args.blends[2][i];
    for_vectors<S>(pixel, [&](int64_t channel, auto part) BCAI_LAMBDA {
      const auto value = along(first, [&](int64_t a) BCAI_LAMBDA {
        return along(second, [&](int64_t b) BCAI_LAMBDA {
          return along(third, [&](int64_t c) BCAI_LAMBDA {
            return part.load(x + a * plane + b * line + c * pixel + channel);
          });
        });
      });
      part.store(y + channel, canonical_nan<S>(value));
    });
  }
}

void run(const ResizeArgs& args, int64_t begin, int64_t end, std::byte*) {
  for (int64_t unit = begin; unit < end; ++unit) resize_line(args, unit);
}

}  // namespace

extern const ResizeKernels kResizeKernels;
const ResizeKernels kResizeKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
