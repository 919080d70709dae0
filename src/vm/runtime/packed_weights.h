// SPDX-License-Identifier: Apache-2.0
// Weights in the layout that kernels read, made once for an executable and shared by its runs.
#pragma once

#include <functional>
#include <map>
#include <tuple>
#include <vector>

#include "vm/plan/plan.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm {

// Not for several threads at once; the packed floats are read-only and may be read by any.
class PackedWeights {
 public:
  // The floats that `pack` has written for this operand and `layout`, a number that says how; calls
  // it the first time. They live as long as this.
  const float* get(const Operand& weight, int layout, int64_t floats,
                   const std::function<void(float*)>& pack);
  int64_t bytes() const { return bytes_; }

 private:
  using Key = std::tuple<uint32_t, int64_t, int, int64_t>;
  std::map<Key, Tensor> packed_;
  int64_t bytes_ = 0;
};

}  // namespace bcai::vm
