// SPDX-License-Identifier: Apache-2.0
// Where the values of a program lie in one arena. The planner may be clever; the checker is plain
// and shares no code with it, so that a mistake of the planner is refused instead of executed
// (rule V29).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace bcai::vm {

inline constexpr int64_t kBufferAlignment = 64;

// A buffer and the steps it is alive in: from the one that writes it to the last that reads it.
struct Lifetime {
  int64_t bytes = 0;
  int64_t first = 0;
  int64_t last = 0;  // inclusive, at least first
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one for each lifetime, multiples of kBufferAlignment
  int64_t arena_bytes = 0;
  // What no plan can go below: the most bytes alive in one step, each buffer rounded up.
  int64_t live_bytes_max = 0;
};

// Buffers that are alive in a common step do not overlap. Deterministic. The sum of all bytes must
// fit in 62 bits.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes);

// An error names the buffers that overlap, or the one that is misaligned or outside.
Result<void> check_memory(std::span<const Lifetime> lifetimes, const MemoryPlan& plan);

}  // namespace bcai::vm
