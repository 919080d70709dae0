// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/resize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

// Three samples become five; some lie on one sample.
std::vector<ResizeBlend> three_to_five() {
  return {{0, 1, 0}, {0, 1, 0.5f}, {1, 2, 0}, {1, 2, 0.25f}, {2, 2, 0}};
}

float lerp(float a, float b, float weight) { return weight == 0 ? a : std::fma(b - a, weight, a); }

TEST(Resize, BlendsTheLastAxisFirst) {
  for (int64_t channels = 1; channels <= 40; ++channels) {
    const std::vector<ResizeBlend> blends = three_to_five();
    const std::vector<ResizeBlend> kept = {{0, 0, 0}, {1, 1, 0}};
    ResizeArgs args{.batch = 2, .channels = channels, .in = {2, 3, 3}, .out = {2, 5, 5}};
    args.blends[0] = kept.data();
    args.blends[1] = args.blends[2] = blends.data();
    const auto x = random_floats(2 * 2 * 9 * channels, 1);
    const auto at = [&](int64_t plane, int64_t b, int64_t c, int64_t channel) {
      return x[static_cast<size_t>(((plane * 3 + b) * 3 + c) * channels + channel)];
    };
    std::vector<float> expected;
    for (int64_t plane = 0; plane < 4; ++plane) {
      for (const ResizeBlend& b : blends) {
        for (const ResizeBlend& c : blends) {
          for (int64_t i = 0; i < channels; ++i) {
            const float low =
                lerp(at(plane, b.low, c.low, i), at(plane, b.low, c.high, i), c.weight);
            const float high =
                lerp(at(plane, b.high, c.low, i), at(plane, b.high, c.high, i), c.weight);
            expected.push_back(lerp(low, high, b.weight));
          }
        }
      }
    }
    args.x = x.data();
    for (const SimdLevel level : machine_levels()) {
      std::vector<float> y(expected.size(), -7);
      args.y = y.data();
      run_in_parts(resize_units(args), 3, [&](int64_t begin, int64_t end) {
        resize_kernels(level).run(args, begin, end, nullptr);
      });
      EXPECT_EQ(first_difference(y, expected), -1) << channels << " " << simd_level_name(level);
    }
  }
}

}  // namespace
}  // namespace bcai::vm
