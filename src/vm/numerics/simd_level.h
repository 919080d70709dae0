// SPDX-License-Identifier: Apache-2.0
// Which of a kernel's translation units this machine runs. All levels give the same bits (profile
// n1, docs/formats/numerics_n1.md), so a level is a matter of speed alone and any level that the
// machine has may be asked for. Kernel families hand out one table of functions per level.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bcai::vm {

enum class SimdLevel : unsigned char { kPortable, kAvx2, kAvx512 };

// "portable", "avx2", "avx512".
std::string_view simd_level_name(SimdLevel level);

// What the processor and the operating system offer: avx2 includes fma; avx512 is f, vl, dq, bw.
bool has_simd_level(SimdLevel level);

// The widest level that this machine has.
SimdLevel detect_simd_level();

// The level of that name: kInvalidArgument if there is none, kFailedPrecondition if the machine
// lacks it.
Result<SimdLevel> parse_simd_level(std::string_view name);

}  // namespace bcai::vm

// In namespace bcai::vm: the object `name` of the namespace of a level, for the function of a
// kernel family that returns its table. Each *_simd.cc defines `name` in namespace BCAI_SIMD_LEVEL.
#if defined(__x86_64__)
#define BCAI_DECLARE_PER_SIMD_LEVEL(type, name) \
  namespace portable {                          \
  extern const type name;                       \
  }                                             \
  namespace avx2 {                              \
  extern const type name;                       \
  }                                             \
  namespace avx512 {                            \
  extern const type name;                       \
  }
#define BCAI_OF_SIMD_LEVEL(level, name)         \
  ((level) == SimdLevel::kAvx512 ? avx512::name \
   : (level) == SimdLevel::kAvx2 ? avx2::name   \
                                 : portable::name)
#else
#define BCAI_DECLARE_PER_SIMD_LEVEL(type, name) \
  namespace portable {                          \
  extern const type name;                       \
  }
#define BCAI_OF_SIMD_LEVEL(level, name) ((void)(level), portable::name)
#endif
