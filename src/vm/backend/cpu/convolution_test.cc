// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

struct ConvolutionProblem {
  ConvolutionArgs args;
  std::vector<float> input, weights, bias, residual;  // weights as OIHW

  explicit ConvolutionProblem(const ConvolutionArgs& given) : args(given) {
    const auto out = [](int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
      return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
    };
    args.output_height = out(args.height, args.kernel_height, args.stride_height,
                             args.dilation_height, args.pad_top);
    args.output_width =
        out(args.width, args.kernel_width, args.stride_width, args.dilation_width, args.pad_left);
    input = random_floats(args.batch * args.height * args.width * args.channels, 1);
    weights = random_floats(args.output_channels * depth(), 2);
    bias = random_floats(args.output_channels, 3);
    residual = random_floats(outputs(), 4);
  }
  int64_t depth() const {
    return args.channels / args.groups * args.kernel_height * args.kernel_width;
  }
  int64_t outputs() const {
    return args.batch * args.output_height * args.output_width * args.output_channels;
  }
};

// The chain of one output element.
float sum_of(const ConvolutionProblem& p, int64_t n, int64_t oh, int64_t ow, int64_t o) {
  const ConvolutionArgs& a = p.args;
  const int64_t inputs = a.channels / a.groups;
  const int64_t first = o / (a.output_channels / a.groups) * inputs;
  float sum = 0;
  for (int64_t kh = 0; kh < a.kernel_height; ++kh) {
    for (int64_t kw = 0; kw < a.kernel_width; ++kw) {
      const int64_t y = oh * a.stride_height - a.pad_top + kh * a.dilation_height;
      const int64_t x = ow * a.stride_width - a.pad_left + kw * a.dilation_width;
      const bool inside = y >= 0 && y < a.height && x >= 0 && x < a.width;
      for (int64_t i = 0; i < inputs; ++i) {
        const int64_t at = ((n * a.height + y) * a.width + x) * a.channels + first + i;
        const int64_t w = ((o * inputs + i) * a.kernel_height + kh) * a.kernel_width + kw;
        sum = std::fma(inside ? p.input[static_cast<size_t>(at)] : 0.0f,
                       p.weights[static_cast<size_t>(w)], sum);
      }
    }
  }
  return sum;
}

std::vector<float> reference(const ConvolutionProblem& p) {
  const ConvolutionArgs& a = p.args;
  std::vector<float> out;
  for (int64_t n = 0; n < a.batch; ++n) {
    for (int64_t oh = 0; oh < a.output_height; ++oh) {
      for (int64_t ow = 0; ow < a.output_width; ++ow) {
        for (int64_t o = 0; o < a.output_channels; ++o) {
          float x = sum_of(p, n, oh, ow, o) + p.bias[static_cast<size_t>(o)];
          if (x <= 0) x = 0;
          out.push_back(x + p.residual[out.size()]);
        }
      }
    }
  }
  return out;
}

std::vector<float> compute(const ConvolutionProblem& p, SimdLevel level, int64_t parts) {
  ConvolutionArgs args = p.args;
  std::vector<float> packed(static_cast<size_t>(convolution_packed_floats(args)), -3);
  const int64_t taps = args.kernel_height * args.kernel_width;
  convolution_pack(args,
                   {.data = p.weights.data(),
                    .output_stride = p.depth(),
                    .height_stride = args.kernel_width,
                    .width_stride = 1,
                    .input_stride = taps},
                   packed.data());
  std::vector<float> output(static_cast<size_t>(p.outputs()), -7);
  args.input = p.input.data();
  args.weights = packed.data();
  args.output = output.data();
  args.epilogue = {.bias = p.bias.data(),
                   .activation = EpilogueActivation::kRelu,
                   .residual = p.residual.data(),
                   .residual_stride = args.output_channels};
  Scratch scratch(convolution_scratch_bytes(args));
  run_in_parts(convolution_units(args), parts, [&](int64_t begin, int64_t end) {
    convolution_kernels(level).run(args, begin, end, scratch.get());
  });
  return output;
}

void expect_reference(const ConvolutionArgs& args) {
  const ConvolutionProblem p(args);
  const std::vector<float> expected = reference(p);
  for (SimdLevel level : machine_levels()) {
    for (int64_t parts : {1, 4}) {
      EXPECT_EQ(first_difference(compute(p, level, parts), expected), -1)
          << p.args.channels << " to " << p.args.output_channels << " channels, kernel "
          << p.args.kernel_height << "x" << p.args.kernel_width << " " << simd_level_name(level);
    }
  }
}

TEST(Convolution, EqualsTheDefinition) {
  for (int64_t kernel : {1, 2, 3, 5}) {
    for (int64_t channels : {1, 3, 16, 21}) {
      for (int64_t stride : {1, 2}) {
        for (int64_t dilation : {1, 2}) {
          expect_reference({.batch = 2,
                            .height = 11,
                            .width = 13,
                            .channels = channels,
                            .output_channels = 5 + 2 * channels,
                            .kernel_height = kernel,
                            .kernel_width = kernel,
                            .stride_height = stride,
                            .stride_width = stride,
                            .dilation_height = dilation,
                            .dilation_width = dilation,
                            .pad_top = kernel / 2,
                            .pad_left = kernel - 1});
        }
      }
    }
  }
}

TEST(Convolution, EqualsTheDefinitionInGroups) {
  for (int64_t groups : {2, 6, 12, 24}) {
    for (int64_t outputs : {24, 48}) {
      for (int64_t stride : {1, 2}) {
        expect_reference({.batch = 2,
                          .height = 9,
                          .width = 10,
                          .channels = 24,
                          .output_channels = outputs,
                          .groups = groups,
                          .kernel_height = 3,
                          .kernel_width = 5,
                          .stride_height = stride,
                          .stride_width = 1,
                          .pad_top = 1,
                          .pad_left = 2});
      }
    }
  }
}

TEST(Convolution, OfOneDimensionAndOfAKernelLargerThanTheInput) {
  expect_reference({.width = 50,
                    .channels = 8,
                    .output_channels = 40,
                    .kernel_width = 7,
                    .stride_width = 3,
                    .dilation_width = 2,
                    .pad_left = 6});
  expect_reference({.height = 2,
                    .width = 3,
                    .channels = 4,
                    .output_channels = 4,
                    .groups = 4,
                    .kernel_height = 7,
                    .kernel_width = 7,
                    .pad_top = 3,
                    .pad_left = 3});
}

TEST(Convolution, IsCutInDepthAndRows) {
  expect_reference({.height = 20,
                    .width = 20,
                    .channels = 70,
                    .output_channels = 40,
                    .kernel_height = 3,
                    .kernel_width = 3,
                    .pad_top = 1,
                    .pad_left = 1});
}

}  // namespace
}  // namespace bcai::vm
