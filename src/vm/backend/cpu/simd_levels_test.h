// SPDX-License-Identifier: Apache-2.0
// For the tests of kernels: the levels of this machine, and inputs of every kind of float.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

inline std::vector<SimdLevel> levels_here() {
  std::vector<SimdLevel> levels;
  for (auto level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (has_simd_level(level)) levels.push_back(level);
  }
  return levels;
}

// Values near one; with `special`, one in eight is a zero, a denormal, an infinity, a NaN or large.
inline std::vector<float> test_floats(size_t count, bool special, uint32_t seed = 1) {
  const float rare[] = {0.0f,
                        -0.0f,
                        0x1p-149f,
                        -0x1p-127f,
                        1e30f,
                        -3e38f,
                        std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN(),
                        std::bit_cast<float>(0xffc12345)};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(count);
  for (auto& v : x)
    v = special && random() % 8 == 0 ? rare[random() % std::size(rare)] : normal(random);
  return x;
}

template <typename T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace bcai::vm
