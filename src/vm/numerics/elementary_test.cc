// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string_view>
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

TEST(Elementary, binary_functions_have_the_same_bits_at_all_levels) {
  const auto x = inputs(1 << 16);
  std::vector<float> y(x.rbegin(), x.rend());
  for (size_t i = 0; i < 40 * 40; ++i) y[i] = x[i % 40];
  const auto& expected = elementary_functions(SimdLevel::kPortable);
  for (auto level : levels_here()) {
    const auto& functions = elementary_functions(level);
    for (size_t f = 0; f < functions.binary.size(); ++f) {
      std::vector<float> want(x.size()), got(x.size());
      expected.binary[f].apply(x.data(), y.data(), want.data(), static_cast<int64_t>(x.size()));
      functions.binary[f].apply(x.data(), y.data(), got.data(), static_cast<int64_t>(x.size()));
      EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
          << functions.binary[f].name << " at " << simd_level_name(level);
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

// Units in the last place between y and the exact value, as if exponents had no upper end.
double ulps(float y, double exact) {
  if (std::isnan(exact)) return std::bit_cast<uint32_t>(y) == 0x7fc00000 ? 0 : 1e9;
  if (static_cast<float>(exact) == y) return 0;
  int exponent;
  std::frexp(exact, &exponent);
  const double value = std::isinf(y) ? std::copysign(0x1p128, y) : y;
  return std::fabs(value - exact) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

// numerics_exhaustive finds the worst cases; here a sample holds the bounds that are promised.
TEST(Elementary, errors_are_within_the_bounds_of_the_profile) {
  struct Bound {
    std::string_view name;
    double (*exact)(double);
    double ulps_max;
  };
  const Bound bounds[] = {
      {"exp", [](double x) { return std::exp(x); }, 0.9},
      {"log", [](double x) { return std::log(x); }, 0.9},
      {"tanh", [](double x) { return std::tanh(x); }, 1.0},
      {"erf", [](double x) { return std::erf(x); }, 1.4},
      {"sin", [](double x) { return std::sin(x); }, 1.6},
      {"cos", [](double x) { return std::cos(x); }, 1.6},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, 2.0},
      {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1.5},
  };
  auto x = inputs(1 << 18);
  for (size_t i = 100; i < x.size(); i += 2) x[i] = static_cast<float>(i % 4001) * 0.01f - 20.0f;
  for (const auto& function : elementary_functions(detect_simd_level()).unary) {
    for (const auto& bound : bounds) {
      if (bound.name != function.name) continue;
      std::vector<float> y(x.size());
      function.apply(x.data(), y.data(), static_cast<int64_t>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_LE(ulps(y[i], bound.exact(x[i])), bound.ulps_max)
            << bound.name << "(" << x[i] << ")";
      }
    }
  }
}

// The bits of a few results, so that a change of the profile cannot pass unseen.
TEST(Elementary, the_profile_is_frozen) {
  const auto x = inputs(1 << 16);
  uint64_t sum = 0;
  for (const auto& function : elementary_functions(detect_simd_level()).unary) {
    std::vector<float> y(x.size());
    function.apply(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (float v : y) sum = (sum ^ std::bit_cast<uint32_t>(v)) * 0x100000001b3;
  }
  EXPECT_EQ(sum, 11981962509413719111u);
}

TEST(Elementary, pow_has_the_special_cases_of_ieee_754) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values;
  for (float v : {0.0f, 1.0f, 2.0f, 3.0f, 0.5f, 1.5f, 33.0f, inf, std::nanf(""), 0x1p-149f, 0x1p24f,
                  0x1.fffffep23f, 8388607.5f, 0x1.fffffep127f, 0x1.fffffep-1f, 0x1.000002p0f}) {
    values.push_back(v);
    values.push_back(-v);
  }
  const auto& pow = elementary_functions(detect_simd_level()).binary[0];
  for (float a : values) {
    for (float b : values) {
      float result;
      pow.apply(&a, &b, &result, 1);
      const double exact = std::pow(static_cast<double>(a), static_cast<double>(b));
      EXPECT_LE(ulps(result, exact), 1.0) << a << " to the " << b << " is " << result;
      EXPECT_TRUE(std::isnan(exact) || std::signbit(result) == std::signbit(exact))
          << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace bcai::vm
