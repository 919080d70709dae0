// SPDX-License-Identifier: Apache-2.0
// The memory of one run at a time.
#pragma once

#include <cstdint>

namespace bcai::vm {

// Bytes, all of which may be resident at once.
struct Footprint {
  int64_t packed = 0;   // weights in the layout of the kernels
  int64_t weights = 0;  // read as the weight files have them
  int64_t arena = 0;
  int64_t scratch = 0;  // of all threads
  int64_t inputs = 0;   // states twice, since a run copies them
  int64_t results = 0;  // and checkpoints

  int64_t total() const { return packed + weights + arena + scratch + inputs + results; }
};

}  // namespace bcai::vm
