// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution_transpose.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

// The residual's pixels lie so many floats apart.
constexpr int64_t kResidualGap = 3;

struct TransposedProblem {
  ConvolutionArgs args;
  std::vector<float> input, weights, bias, residual;
};

TransposedProblem problem_of(ConvolutionArgs args, bool more = true) {
  const auto out = [=](int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
    return (in - 1) * stride + dilation * (kernel - 1) + 1 - 2 * pad + (more ? stride / 2 : 0);
  };
  args.output_height =
      out(args.height, args.kernel_height, args.stride_height, args.dilation_height, args.pad_top);
  args.output_width =
      out(args.width, args.kernel_width, args.stride_width, args.dilation_width, args.pad_left);
  const int64_t taps = args.kernel_height * args.kernel_width;
  return {args, random_floats(args.batch * args.height * args.width * args.channels, 1),
          random_floats(args.channels * args.output_channels / args.groups * taps, 2),
          random_floats(args.output_channels, 3),
          random_floats(args.batch * args.output_height * args.output_width *
                            (args.output_channels + kResidualGap),
                        4)};
}

float sum_of(const TransposedProblem& p, int64_t n, int64_t oh, int64_t ow, int64_t o) {
  const ConvolutionArgs& a = p.args;
  const int64_t inputs = a.channels / a.groups;
  const int64_t outputs = a.output_channels / a.groups;
  float sum = 0;
  for (int64_t kh = 0; kh < a.kernel_height; ++kh) {
    for (int64_t kw = 0; kw < a.kernel_width; ++kw) {
      const int64_t y = oh + a.pad_top - kh * a.dilation_height;
      const int64_t x = ow + a.pad_left - kw * a.dilation_width;
      if (y < 0 || x < 0 || y % a.stride_height != 0 || x % a.stride_width != 0) continue;
      const int64_t row = y / a.stride_height;
      const int64_t column = x / a.stride_width;
      if (row >= a.height || column >= a.width) continue;
      for (int64_t i = 0; i < inputs; ++i) {
        const int64_t channel = o / outputs * inputs + i;
        const int64_t at = ((n * a.height + row) * a.width + column) * a.channels + channel;
        const int64_t w =
            ((channel * outputs + o % outputs) * a.kernel_height + kh) * a.kernel_width + kw;
        sum = std::fma(p.input[static_cast<size_t>(at)], p.weights[static_cast<size_t>(w)], sum);
      }
    }
  }
  return sum;
}

void expect_definition(TransposedProblem p, bool residual = false) {
  ConvolutionArgs& a = p.args;
  std::vector<float> expected;
  for (int64_t pixel = 0; pixel < a.batch * a.output_height * a.output_width; ++pixel) {
    const int64_t line = pixel / a.output_width;
    for (int64_t o = 0; o < a.output_channels; ++o) {
      const float sum =
          sum_of(p, line / a.output_height, line % a.output_height, pixel % a.output_width, o) +
          p.bias[static_cast<size_t>(o)];
      const int64_t at = pixel * (a.output_channels + kResidualGap) + o;
      expected.push_back((sum > 0 ? sum : 0) +
                         (residual ? p.residual[static_cast<size_t>(at)] : 0));
    }
  }
  std::vector<float> packed(static_cast<size_t>(convolution_transpose_packed_floats(a)));
  convolution_transpose_pack(a, p.weights.data(), packed.data());
  a.input = p.input.data();
  a.weights = packed.data();
  a.epilogue = {.bias = p.bias.data(), .activation = EpilogueActivation::kRelu};
  if (residual) {
    a.epilogue.residual = p.residual.data();
    a.epilogue.residual_stride = a.output_channels + kResidualGap;
  }
  for (const SimdLevel level : machine_levels()) {
    std::vector<float> output(expected.size(), -7);
    a.output = output.data();
    Scratch scratch(convolution_transpose_scratch_bytes(a));
    run_in_parts(convolution_transpose_units(a), 3, [&](int64_t begin, int64_t end) {
      convolution_transpose_kernels(level).run(a, begin, end, scratch.get());
    });
    EXPECT_EQ(first_difference(output, expected), -1)
        << a.kernel_height << "x" << a.kernel_width << " stride " << a.stride_height << " channels "
        << a.channels << " to " << a.output_channels << " " << simd_level_name(level);
  }
}

TEST(ConvolutionTranspose, EqualsTheDefinition) {
  for (int64_t n = 1; n <= 36; ++n) {
    const int64_t groups = n % 4 == 0 ? 2 : 1;
    expect_definition(problem_of({.batch = 1 + n % 2,
                                  .height = 1 + n % 5,
                                  .width = 1 + n * 3 % 19,
                                  .channels = groups * n,
                                  .output_channels = groups * (1 + n * 5 % 37),
                                  .groups = groups,
                                  .kernel_height = 1 + n % 4,
                                  .kernel_width = 1 + n % 3,
                                  .stride_height = 1 + n % 3,
                                  .stride_width = 1 + n % 2,
                                  .dilation_height = 1 + n % 2,
                                  .dilation_width = 1 + n % 3,
                                  .pad_top = n % 4 == 3 ? 1 : 0,
                                  .pad_left = n % 3 == 2 ? 1 : 0}));
  }
}

TEST(ConvolutionTranspose, ThatSpreadsEqualsTheDefinition) {
  for (int64_t n = 1; n <= 24; ++n) {
    const int64_t height = 1 + n % 3, width = 1 + n % 4;
    const TransposedProblem problem = problem_of({.batch = 1 + n % 2,
                                                  .height = 1 + n % 5,
                                                  .width = 1 + n * 3 % 19,
                                                  .channels = n,
                                                  .output_channels = 1 + n * 5 % 37,
                                                  .kernel_height = height,
                                                  .kernel_width = width,
                                                  .stride_height = height,
                                                  .stride_width = width},
                                                 false);
    ASSERT_TRUE(convolution_transpose_spreads(problem.args));
    expect_definition(problem, n % 2 == 0);
  }
}

}  // namespace
}  // namespace bcai::vm
