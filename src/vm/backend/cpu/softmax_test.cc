// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "vm/backend/cpu/simd_levels_test.h"

namespace bcai::vm {
namespace {

std::vector<float> run(SoftmaxArgs args, const std::vector<float>& x, SimdLevel level) {
  std::vector<float> y(x.size(), 7.0f);
  args.x = x.data();
  args.y = y.data();
  softmax_kernels(level).run(args, 0, softmax_units(args), nullptr);
  return y;
}

size_t count(const SoftmaxArgs& args) {
  return static_cast<size_t>(args.outer * args.n * args.inner);
}

TEST(Softmax, has_the_same_bits_at_all_levels_and_lengths) {
  for (bool log : {false, true}) {
    for (bool special : {false, true}) {
      for (int64_t n = 1; n <= 70; ++n) {
        const SoftmaxArgs args{nullptr, nullptr, 3, n, 1, log};
        const auto x = test_floats(count(args), special, static_cast<uint32_t>(n));
        const auto want = run(args, x, SimdLevel::kPortable);
        for (auto level : levels_here()) EXPECT_TRUE(same_bytes(run(args, x, level), want)) << n;
      }
    }
  }
}

// An axis that is not the last gives the bits of its transpose, also over several blocks.
TEST(Softmax, does_not_depend_on_where_the_axis_is) {
  for (bool log : {false, true}) {
    for (int64_t n : {1, 15, 16, 17, 33, 100, 4096, 4097, 9000}) {
      const int64_t inner = n > 1000 ? 3 : 37;
      const SoftmaxArgs strided{nullptr, nullptr, 2, n, inner, log};
      const SoftmaxArgs rows{nullptr, nullptr, 2 * inner, n, 1, log};
      const auto x = test_floats(count(strided), false, 3);
      std::vector<float> transposed(x.size()), want(x.size());
      const auto each = [&](auto body) {
        for (int64_t o = 0; o < 2; ++o) {
          for (int64_t j = 0; j < n; ++j) {
            for (int64_t i = 0; i < inner; ++i) {
              body(static_cast<size_t>((o * n + j) * inner + i),
                   static_cast<size_t>((o * inner + i) * n + j));
            }
          }
        }
      };
      each([&](size_t a, size_t b) { transposed[b] = x[a]; });
      const auto y = run(rows, transposed, SimdLevel::kPortable);
      each([&](size_t a, size_t b) { want[a] = y[b]; });
      for (auto level : levels_here()) {
        EXPECT_TRUE(same_bytes(run(strided, x, level), want))
            << simd_level_name(level) << " n " << n << " log " << log;
        EXPECT_TRUE(same_bytes(run(rows, transposed, level), y)) << simd_level_name(level);
      }
    }
  }
}

TEST(Softmax, is_near_the_exact_value) {
  for (int64_t n : {1, 5, 128, 1000, 5000}) {
    const auto x = test_floats(static_cast<size_t>(n), false, 9);
    const auto y = run({nullptr, nullptr, 1, n}, x, detect_simd_level());
    const auto l = run({nullptr, nullptr, 1, n, 1, true}, x, detect_simd_level());
    double top = *std::max_element(x.begin(), x.end()), sum = 0;
    for (float v : x) sum += std::exp(v - top);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(y[i] / (std::exp(x[i] - top) / sum), 1, 1e-6);
      EXPECT_NEAR(l[i], x[i] - top - std::log(sum), 2e-6);
    }
  }
}

TEST(Softmax, divides_as_ieee_does) {
  // Two elements: exp(0) = 1 and e give the quotients 1 / (1 + e) and e / (1 + e), here by
  // division.
  for (auto level : levels_here()) {
    for (float d = 0; d < 110; d += 0.013f) {
      const auto y = run({nullptr, nullptr, 1, 2}, {0.0f, -d}, level);
      const auto e = run(
          {nullptr, nullptr, 1, 33, 1},
          [&] {
            std::vector<float> x(33, -INFINITY);
            x[0] = 0;
            x[1] = -d;
            return x;
          }(),
          level);
      EXPECT_EQ(std::bit_cast<uint32_t>(y[0]), std::bit_cast<uint32_t>(e[0]));
      EXPECT_EQ(std::bit_cast<uint32_t>(y[1]), std::bit_cast<uint32_t>(e[1])) << d;
    }
  }
}

TEST(Softmax, of_a_row_without_a_finite_maximum_is_nan) {
  const float inf = INFINITY;
  for (auto level : levels_here()) {
    for (const auto& x : {std::vector<float>{1, inf, 2}, std::vector<float>{-inf, -inf, -inf},
                          std::vector<float>{1, NAN, 2}}) {
      for (float v : run({nullptr, nullptr, 1, 3}, x, level)) {
        EXPECT_EQ(std::bit_cast<uint32_t>(v), 0x7fc00000u);
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
