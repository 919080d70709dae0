// SPDX-License-Identifier: Apache-2.0
#include "vm/numerics/simd_level.h"

#include <array>

namespace bcai::vm {
namespace {

constexpr std::array kNames = {std::string_view("portable"), std::string_view("avx2"),
                               std::string_view("avx512")};

}  // namespace

std::string_view simd_level_name(SimdLevel level) { return kNames[static_cast<size_t>(level)]; }

bool has_simd_level(SimdLevel level) {
#if defined(__x86_64__)
  switch (level) {
    case SimdLevel::kPortable: return true;
    case SimdLevel::kAvx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case SimdLevel::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("fma");
  }
  return false;
#else
  return level == SimdLevel::kPortable;
#endif
}

SimdLevel detect_simd_level() {
  if (has_simd_level(SimdLevel::kAvx512)) return SimdLevel::kAvx512;
  if (has_simd_level(SimdLevel::kAvx2)) return SimdLevel::kAvx2;
  return SimdLevel::kPortable;
}

Result<SimdLevel> parse_simd_level(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    const auto level = static_cast<SimdLevel>(i);
    if (has_simd_level(level)) return level;
    return error(ErrorCode::kFailedPrecondition, "SIMD level {}: this processor lacks it", name);
  }
  return error(ErrorCode::kInvalidArgument, "SIMD level \"{}\": expected portable, avx2 or avx512",
               name);
}

}  // namespace bcai::vm
