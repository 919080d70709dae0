// SPDX-License-Identifier: Apache-2.0
// The numbers of rule R4 that do not need a SIMD level to be known.
#pragma once

#include <cstdint>

namespace bcai::vm {

inline constexpr int64_t kReduceBlock = 4096;
inline constexpr int kReduceLanes = 16;

}  // namespace bcai::vm
