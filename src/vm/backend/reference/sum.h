// SPDX-License-Identifier: Apache-2.0
// Rule R4: the order in which f32 numbers are added up.
#pragma once

#include <functional>
#include <vector>

#include "vm/tensor/tensor.h"

namespace bcai::vm::reference {

// Blocks of 4096; in a block lane l adds term(l), term(l + 16), …; the lanes are added 8 apart, 4,
// 2, 1; the blocks' sums are added up by the same rule. `accumulate(lane, i)` is the lane with term
// i in it: lane + x[i], or fma(x[i], y[i], lane).
float sum_r4(int64_t count, const std::function<float(float lane, int64_t i)>& accumulate);
float sum_r4(const std::vector<float>& terms);
// The same tree with products, from 1.
float product_r4(const std::vector<float>& terms);

}  // namespace bcai::vm::reference
