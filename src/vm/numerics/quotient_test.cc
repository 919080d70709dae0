// SPDX-License-Identifier: Apache-2.0
#include "vm/numerics/quotient.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace bcai::vm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void expect_divided(float v, float s) {
  float got[Simd::kLanes];
  Simd::store(got, QuotientBy<Simd>(s, 1.0f / s).of_any(Simd::set(v)));
  for (const float lane : got) {
    if (std::isnan(v / s)) {
      EXPECT_TRUE(std::isnan(lane)) << v << " / " << s;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(lane), std::bit_cast<uint32_t>(v / s)) << v << " / " << s;
    }
  }
}

TEST(QuotientBy, has_the_bits_of_the_division_of_anything) {
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const auto v = std::bit_cast<float>(static_cast<uint32_t>(random()));
    const float exponent = static_cast<float>(random() % 63'000) / 1000.0f;
    expect_divided(v, std::exp2(exponent));
  }
}

TEST(QuotientBy, keeps_the_sign_of_zero_and_what_is_not_finite) {
  for (const float s : {1.0f, 3.0f, 0x1p63f, std::numeric_limits<float>::quiet_NaN()}) {
    for (const float v : {0.0f, -0.0f, kInfinity, -kInfinity, 0x1p-149f, -0x1p-126f, 0x1p-30f,
                          std::numeric_limits<float>::max(), 1.0f, -1.0f}) {
      expect_divided(v, s);
    }
  }
}

}  // namespace
}  // namespace bcai::vm
