// SPDX-License-Identifier: Apache-2.0
// What the kernel tests share: inputs by seed, the levels of this machine, a comparison of bits.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

// Values in [-1, 1) of 24 bits: sums of them round, so an order that differs shows.
inline std::vector<float> random_floats(int64_t n, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(n));
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (float& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<float>(static_cast<int32_t>(state >> 40) - (1 << 23)) * 0x1p-23f;
  }
  return values;
}

inline std::vector<SimdLevel> machine_levels() {
  std::vector<SimdLevel> levels;
  for (SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (has_simd_level(level)) levels.push_back(level);
  }
  return levels;
}

// The place of the first difference in bits, -1 where there is none.
inline int64_t first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<int64_t>(i);
  }
  return -1;
}

// Scratch for kernels, at 64 bytes.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : bytes_(static_cast<size_t>(bytes) + 64) {}
  std::byte* get() {
    const auto at = reinterpret_cast<uintptr_t>(bytes_.data());
    return bytes_.data() + (64 - at % 64) % 64;
  }

 private:
  std::vector<std::byte> bytes_;
};

// Runs `units` pieces of work in `parts` ranges, the last range first: any partition gives the
// same.
template <class Run>
void run_in_parts(int64_t units, int64_t parts, const Run& run) {
  for (int64_t part = parts; part-- > 0;) run(units * part / parts, units * (part + 1) / parts);
}

}  // namespace bcai::vm
