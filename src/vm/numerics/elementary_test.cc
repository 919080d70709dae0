// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "vm/numerics/elementary_table.h"

namespace bcai::vm {
namespace {

std::vector<SimdLevel> levels_here() {
  std::vector<SimdLevel> levels;
  for (auto level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (has_simd_level(level)) levels.push_back(level);
  }
  return levels;
}

// Every kind of float: zeros, denormals, the largest, infinities, NaNs of both signs, small
// integers, and uniformly chosen bits.
std::vector<float> inputs(size_t count) {
  std::vector<float> x;
  const float one = 1.0f;
  for (float v : {0.0f,
                  0x1p-149f,
                  0x1.fffffcp-127f,
                  0x1p-126f,
                  0x1p-24f,
                  0.25f,
                  0.5f,
                  one,
                  2.0f,
                  3.0f,
                  88.5f,
                  89.0f,
                  103.0f,
                  105.0f,
                  1e5f,
                  1e20f,
                  0x1.fffffep127f,
                  std::numeric_limits<float>::infinity(),
                  std::bit_cast<float>(0x7fc00000),
                  std::bit_cast<float>(0x7f800001),
                  std::nextafter(one, 2.0f),
                  std::nextafter(one, 0.0f)}) {
    x.push_back(v);
    x.push_back(-v);
  }
  std::mt19937 random(1);
  while (x.size() < count) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  return x;
}

TEST(Elementary, all_levels_give_the_same_bits) {
  const auto x = inputs(1 << 18);
  const auto& expected = elementary_functions(SimdLevel::kPortable);
  for (auto level : levels_here()) {
    const auto& functions = elementary_functions(level);
    ASSERT_EQ(functions.unary.size(), expected.unary.size());
    for (size_t f = 0; f < functions.unary.size(); ++f) {
      std::vector<float> want(x.size()), got(x.size());
      expected.unary[f].apply(x.data(), want.data(), static_cast<int64_t>(x.size()));
      functions.unary[f].apply(x.data(), got.data(), static_cast<int64_t>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(want[i]), std::bit_cast<uint32_t>(got[i]))
            << functions.unary[f].name << "(" << x[i] << ") at " << simd_level_name(level);
      }
    }
  }
}

TEST(Elementary, every_length_touches_its_elements_alone) {
  const auto x = inputs(80);
  for (auto level : levels_here()) {
    for (const auto& function : elementary_functions(level).unary) {
      std::vector<float> whole(80);
      function.apply(x.data(), whole.data(), 80);
      for (size_t n = 0; n <= 70; ++n) {
        std::vector<float> y(80, 7.0f);
        function.apply(x.data(), y.data(), static_cast<int64_t>(n));
        EXPECT_EQ(std::memcmp(y.data(), whole.data(), n * sizeof(float)), 0) << function.name;
        for (size_t i = n; i < y.size(); ++i) EXPECT_EQ(y[i], 7.0f) << function.name << " " << n;
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
