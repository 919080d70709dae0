// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/simd_levels_test.h"

namespace bcai::vm {
namespace {

struct Outcome {
  std::vector<float> y, mean, scale;
};

Outcome run(NormArgs args, bool layer, SimdLevel level) {
  Outcome out{std::vector<float>(static_cast<size_t>(args.rows * args.n)),
              std::vector<float>(static_cast<size_t>(args.rows)),
              std::vector<float>(static_cast<size_t>(args.rows))};
  args.y = out.y.data();
  args.mean = layer ? out.mean.data() : nullptr;
  args.scale = out.scale.data();
  const auto& kernels = norm_kernels(level);
  (layer ? kernels.layer_norm : kernels.rms_norm)(args, 0, norm_units(args), nullptr);
  return out;
}

// Several rows are computed together, and one must not notice.
constexpr int64_t kRows = 6;

Outcome run_row_by_row(NormArgs args, bool layer, SimdLevel level) {
  Outcome all;
  args.rows = 1;
  for (int64_t row = 0; row < kRows; ++row, args.x += args.n) {
    const Outcome one = run(args, layer, level);
    all.y.insert(all.y.end(), one.y.begin(), one.y.end());
    all.mean.push_back(one.mean[0]);
    all.scale.push_back(one.scale[0]);
  }
  return all;
}

TEST(Norm, has_the_same_bits_at_all_levels_and_lengths) {
  for (bool layer : {true, false}) {
    for (bool special : {false, true}) {
      for (int64_t n = 1; n <= 70; ++n) {
        const auto x = test_floats(static_cast<size_t>(kRows * n), special, 1);
        const auto gamma = test_floats(static_cast<size_t>(n), false, 2);
        const auto beta = test_floats(static_cast<size_t>(n), false, 3);
        for (int given = 0; given < 4; ++given) {
          const NormArgs args{.x = x.data(),
                              .y = nullptr,
                              .gamma = given % 2 == 1 ? gamma.data() : nullptr,
                              .beta = given > 1 && layer ? beta.data() : nullptr,
                              .rows = kRows,
                              .n = n,
                              .epsilon = 1e-5f};
          const auto want = run_row_by_row(args, layer, SimdLevel::kPortable);
          for (auto level : levels_here()) {
            const auto got = run(args, layer, level);
            EXPECT_TRUE(same_bytes(got.y, want.y)) << simd_level_name(level) << " " << n;
            EXPECT_TRUE(same_bytes(got.mean, want.mean)) << simd_level_name(level) << " " << n;
            EXPECT_TRUE(same_bytes(got.scale, want.scale)) << simd_level_name(level) << " " << n;
          }
        }
      }
    }
  }
}

TEST(Norm, with_a_residual_has_the_bits_of_the_sum_before) {
  for (bool layer : {true, false}) {
    for (int64_t n : {1, 17, 70, 5000}) {
      const auto x = test_floats(static_cast<size_t>(kRows * n), n == 17, 1);
      const auto residual = test_floats(static_cast<size_t>(kRows * n), n == 17, 2);
      const auto gamma = test_floats(static_cast<size_t>(n), false, 3);
      const auto beta = test_floats(static_cast<size_t>(n), false, 4);
      std::vector<float> sum = x;
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += residual[i];
      NormArgs args{.x = sum.data(),
                    .y = nullptr,
                    .gamma = gamma.data(),
                    .beta = layer && n != 17 ? beta.data() : nullptr,
                    .rows = kRows,
                    .n = n,
                    .epsilon = 1e-5f};
      const Outcome want = run(args, layer, SimdLevel::kPortable);
      args.x = x.data();
      args.residual = residual.data();
      for (auto level : levels_here()) {
        const Outcome got = run(args, layer, level);
        EXPECT_TRUE(same_bytes(got.y, want.y)) << simd_level_name(level) << " " << n;
        EXPECT_TRUE(same_bytes(got.scale, want.scale)) << simd_level_name(level) << " " << n;
      }
    }
  }
}

TEST(Norm, is_near_the_exact_value) {
  for (int64_t n : {3, 768, 5000}) {
    const auto x = test_floats(static_cast<size_t>(n), false, 4);
    const auto gamma = test_floats(static_cast<size_t>(n), false, 5);
    const auto beta = test_floats(static_cast<size_t>(n), false, 6);
    NormArgs args{.x = x.data(),
                  .y = nullptr,
                  .gamma = gamma.data(),
                  .beta = beta.data(),
                  .rows = 1,
                  .n = n,
                  .epsilon = 1e-5f};
    const auto layer = run(args, true, detect_simd_level()).y;
    args.beta = nullptr;
    const auto rms = run(args, false, detect_simd_level()).y;
    double mean = 0, squares = 0, variance = 0;
    for (double v : x) mean += v / static_cast<double>(n);
    for (double v : x) squares += v * v / static_cast<double>(n);
    for (double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
    for (size_t i = 0; i < x.size(); ++i) {
      const double normal = (x[i] - mean) / std::sqrt(variance + 1e-5);
      EXPECT_NEAR(layer[i], normal * gamma[i] + beta[i], 1e-5);
      EXPECT_NEAR(rms[i], x[i] / std::sqrt(squares + 1e-5) * gamma[i], 1e-5);
    }
  }
}

TEST(Norm, of_channels_is_the_definition) {
  for (int64_t inner = 1; inner <= 35; inner += inner < 3 ? 1 : 8) {
    for (const int64_t channels : {4, 6, 34}) {
      const auto x = test_floats(static_cast<size_t>(70 * channels * inner), false, 1);
      const auto of_channel = [&](uint32_t seed) {
        auto values = test_floats(static_cast<size_t>(channels), false, seed);
        for (float& value : values) value = std::fabs(value);
        return values;
      };
      const auto gamma = of_channel(2), beta = of_channel(3), mean = of_channel(4),
                 variance = of_channel(5);
      ChannelNormArgs args{.x = x.data(), .y = nullptr, .gamma = gamma.data(), .beta = beta.data()};
      args.mean = mean.data();
      args.variance = variance.data();
      args.batch = 70;
      args.channels = channels;
      args.inner = inner;
      args.groups = 2;
      args.epsilon = 1e-5f;
      std::vector<float> batch, group;
      for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
        const auto c = static_cast<size_t>(i / inner % channels);
        const float slope = gamma[c] * (1.0f / std::sqrt(variance[c] + args.epsilon));
        batch.push_back(std::fma(x[static_cast<size_t>(i)] - mean[c], slope, beta[c]));
        const int64_t n = channels / 2 * inner;
        const NormArgs layer{
            .x = x.data() + i / n * n, .y = nullptr, .rows = 1, .n = n, .epsilon = args.epsilon};
        if (i % n == 0) {
          const auto rows = run(layer, true, SimdLevel::kPortable).y;
          group.insert(group.end(), rows.begin(), rows.end());
        }
      }
      for (size_t i = 0; i < group.size(); ++i) {
        const auto c = i / static_cast<size_t>(inner) % static_cast<size_t>(channels);
        group[i] = std::fma(group[i], gamma[c], beta[c]);
      }
      for (auto level : levels_here()) {
        std::vector<float> y(x.size());
        args.y = y.data();
        norm_kernels(level).batch_norm(args, 0, batch_norm_units(args), nullptr);
        EXPECT_TRUE(same_bytes(y, batch)) << simd_level_name(level) << " " << inner;
        norm_kernels(level).group_norm(args, 0, group_norm_units(args), nullptr);
        EXPECT_TRUE(same_bytes(y, group)) << simd_level_name(level) << " " << inner;
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
