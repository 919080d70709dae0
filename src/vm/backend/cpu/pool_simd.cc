// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/pool.h"

#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// The taps of a window along one axis that are inside the input.
struct Taps {
  int64_t first;  // input position
  int64_t count;
};

Taps taps_of(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
  const int64_t before = start < 0 ? (-start + dilation - 1) / dilation : 0;
  const int64_t first = start + before * dilation;
  const int64_t room = first < size ? (size - first + dilation - 1) / dilation : 0;
  const int64_t left = before < kernel ? kernel - before : 0;
  return {first, room < left ? room : left};
}

// One window: `at(j)` is tap j of `count`, as a vector.
template <class At>
BCAI_INLINE S::F32 pool(PoolKind kind, int64_t count, int64_t all, const At& at) {
  if (kind == PoolKind::kMaximum) {
    auto largest = S::set(count == 0 ? 0.0f : -__builtin_inff());
    for (int64_t j = 0; j < count; ++j) largest = maximum<S>(largest, at(j));
    return largest;
  }
  const auto sum = reduce_strided<S, SumFold<S>>(0, count, reduce_span(count),
                                                 [&](S::F32 lane, int64_t j)
                                                     BCAI_LAMBDA { return S::add(lane, at(j)); });
  const int64_t by = kind == PoolKind::kAverage ? count : all;
  return canonical_nan<S>(S::div(sum, S::set(static_cast<float>(by))));
}

void pool_line(const PoolArgs& args, int64_t unit) {
  const int64_t image = unit / args.output_height;
  const int64_t row = unit % args.output_height;
  const Taps down = taps_of(row * args.stride_height - args.pad_top, args.kernel_height,
                            args.dilation_height, args.height);
  const float* lines = args.input + (image * args.height + down.first) * args.width * args.channels;
  const ptrdiff_t line_stride = args.dilation_height * args.width * args.channels;
  const ptrdiff_t tap_stride = args.dilation_width * args.channels;
  for (int64_t column = 0; column < args.output_width; ++column) {
    const Taps across = taps_of(column * args.stride_width - args.pad_left, args.kernel_width,
                                args.dilation_width, args.width);
    const float* window = lines + across.first * args.channels;
    float* to = args.output + (unit * args.output_width + column) * args.channels;
    for_vectors<S>(args.channels, [&](int64_t channel, auto part) {
      const auto at = [&](int64_t j) BCAI_LAMBDA {
        return part.load(window + j / across.count * line_stride + j % across.count * tap_stride +
                         channel);
      };
      part.store(to + channel, pool(args.kind, down.count * across.count,
                                    args.kernel_height * args.kernel_width, at));
    });
  }
}

void run(const PoolArgs& args, int64_t begin, int64_t end, std::byte*) {
  for (int64_t unit = begin; unit < end; ++unit) pool_line(args, unit);
}

}  // namespace

extern const PoolKernels kPoolKernels;
const PoolKernels kPoolKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
