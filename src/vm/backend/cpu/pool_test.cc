// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/pool.h"

#include <gtest/gtest.h>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

std::vector<float> compute(PoolArgs args, const std::vector<float>& input, SimdLevel level,
                           int64_t parts) {
  std::vector<float> output(
      static_cast<size_t>(args.batch * args.output_height * args.output_width * args.channels), -7);
  args.input = input.data();
  args.output = output.data();
  run_in_parts(pool_units(args), parts, [&](int64_t begin, int64_t end) {
    pool_kernels(level).run(args, begin, end, nullptr);
  });
  return output;
}

float reduce_taps(PoolKind kind, const std::vector<float>& taps, int64_t all) {
  if (kind == PoolKind::kMaximum) {
    float largest = taps[0];
    for (float x : taps) largest = x > largest ? x : largest;
    return largest;
  }
  float lanes[16] = {};
  for (size_t i = 0; i < taps.size(); ++i) lanes[i % 16] += taps[i];
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0] /
         static_cast<float>(kind == PoolKind::kAverage ? static_cast<int64_t>(taps.size()) : all);
}

std::vector<float> reference(const PoolArgs& a, const std::vector<float>& input) {
  std::vector<float> out;
  for (int64_t n = 0; n < a.batch; ++n) {
    for (int64_t oh = 0; oh < a.output_height; ++oh) {
      for (int64_t ow = 0; ow < a.output_width; ++ow) {
        for (int64_t c = 0; c < a.channels; ++c) {
          std::vector<float> taps;
          for (int64_t kh = 0; kh < a.kernel_height; ++kh) {
            for (int64_t kw = 0; kw < a.kernel_width; ++kw) {
              const int64_t y = oh * a.stride_height - a.pad_top + kh * a.dilation_height;
              const int64_t x = ow * a.stride_width - a.pad_left + kw * a.dilation_width;
              if (y < 0 || y >= a.height || x < 0 || x >= a.width) continue;
              const int64_t at = ((n * a.height + y) * a.width + x) * a.channels + c;
              taps.push_back(input[static_cast<size_t>(at)]);
            }
          }
          out.push_back(reduce_taps(a.kind, taps, a.kernel_height * a.kernel_width));
        }
      }
    }
  }
  return out;
}

TEST(Pool, EqualsTheDefinition) {
  for (PoolKind kind : {PoolKind::kMaximum, PoolKind::kAverage, PoolKind::kAverageWithPadding}) {
    for (int64_t channels : {1, 7, 16, 37}) {
      for (int64_t kernel : {2, 3, 5}) {
        for (int64_t dilation : {1, 2}) {
          PoolArgs args{.kind = kind,
                        .batch = 2,
                        .height = 11,
                        .width = 12,
                        .channels = channels,
                        .kernel_height = kernel,
                        .kernel_width = kernel,
                        .stride_height = 2,
                        .stride_width = 1,
                        .dilation_height = dilation,
                        .dilation_width = dilation,
                        .pad_top = kernel / 2,
                        .pad_left = kernel / 2};
          const int64_t span = dilation * (kernel - 1) + 1;
          args.output_height = (args.height + 2 * args.pad_top - span) / 2 + 1;
          args.output_width = args.width + 2 * args.pad_left - span + 1;
          const std::vector<float> input =
              random_floats(args.batch * args.height * args.width * channels, 1);
          const std::vector<float> expected = reference(args, input);
          for (SimdLevel level : machine_levels()) {
            for (int64_t parts : {1, 3}) {
              EXPECT_EQ(first_difference(compute(args, input, level, parts), expected), -1)
                  << "kernel " << kernel << " " << simd_level_name(level);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
