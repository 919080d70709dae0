// SPDX-License-Identifier: Apache-2.0
// Convolution where every channel is a group of its own: vectors run over channels. For *_simd.cc
// alone.
#pragma once

#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/finish.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm {

// Pixels side by side that share the loads of a weight.
inline constexpr int kDepthwisePixels = 4;

// kPixels outputs of one line, from output column `first`, in the channels of one vector.
template <class S, int kPixels, class Part>
BCAI_INLINE void depthwise_pixels(const ConvolutionArgs& args, int64_t image, int64_t row,
                                  int64_t first, int64_t channel, Part part, float* to) {
  typename S::F32 sum[kPixels];
  for (auto& x : sum) x = S::set(0.0f);
  const int64_t column = first * args.stride_width - args.pad_left;
  const int64_t last =
      column + (kPixels - 1) * args.stride_width + (args.kernel_width - 1) * args.dilation_width;
  const bool inside = column >= 0 && last < args.width;
  const float* weights = args.weights + channel;
  for (int64_t kh = 0; kh < args.kernel_height; ++kh) {
    const int64_t y = row * args.stride_height - args.pad_top + kh * args.dilation_height;
    const bool line_inside = y >= 0 && y < args.height;
    const float* line = args.input +
                        (image * args.height + (line_inside ? y : 0)) * args.width * args.channels +
                        channel;
    for (int64_t kw = 0; kw < args.kernel_width; ++kw, weights += args.channels) {
      const auto weight = part.load(weights);
      const int64_t x = column + kw * args.dilation_width;
      unroll<kPixels>([&](auto p) BCAI_LAMBDA {
        const int64_t at = x + p.value * args.stride_width;
        const bool there = line_inside && (inside || (at >= 0 && at < args.width));
        const auto value = there ? part.load(line + at * args.channels) : S::set(0.0f);
        sum[p.value] = S::fma(value, weight, sum[p.value]);
      });
    }
  }
  unroll<kPixels>([&](auto p)
                      BCAI_LAMBDA { part.store(to + p.value * args.channels, sum[p.value]); });
}

// One line of the output.
template <class S>
void depthwise_line(const ConvolutionArgs& args, int64_t line) {
  const int64_t image = line / args.output_height;
  const int64_t row = line % args.output_height;
  const int64_t pixel = line * args.output_width;
  float* output = args.output + pixel * args.channels;
  int64_t first = 0;
  while (first < args.output_width) {
    const bool many = first + kDepthwisePixels <= args.output_width;
    const int64_t count = many ? kDepthwisePixels : 1;
    float* to = output + first * args.channels;
    for_vectors<S>(args.channels, [&](int64_t channel, auto part) {
      if (many) {
        depthwise_pixels<S, kDepthwisePixels>(args, image, row, first, channel, part, to + channel);
      } else {
        depthwise_pixels<S, 1>(args, image, row, first, channel, part, to + channel);
      }
    });
    const Epilogue& e = args.epilogue;
    finish<S>({.sums = to,
               .sums_stride = args.channels,
               .output = to,
               .output_stride = args.channels,
               .rows = count,
               .columns = args.channels,
               .epilogue = &e,
               .bias = e.bias,
               .residual = e.residual == nullptr
                               ? nullptr
                               : e.residual + (pixel + first) * e.residual_stride});
    first += count;
  }
}

}  // namespace bcai::vm
