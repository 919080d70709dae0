// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/sum.h"

#include <algorithm>
#include <array>

namespace bcai::vm::reference {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kLanes = 16;

}  // namespace

float sum_r4(int64_t count, const std::function<float(float lane, int64_t i)>& accumulate) {
  std::vector<float> blocks;
  for (int64_t begin = 0; begin < count || blocks.empty(); begin += kBlock) {
    std::array<float, kLanes> lanes{};
    for (int64_t i = begin; i < std::min(begin + kBlock, count); ++i) {
      float& lane = lanes[static_cast<size_t>((i - begin) % kLanes)];
      lane = accumulate(lane, i);
    }
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    blocks.push_back(lanes[0]);
  }
  return blocks.size() == 1 ? blocks[0] : sum_r4(blocks);
}

float sum_r4(const std::vector<float>& terms) {
  return sum_r4(static_cast<int64_t>(terms.size()),
                [&](float lane, int64_t i) { return lane + terms[static_cast<size_t>(i)]; });
}

}  // namespace bcai::vm::reference
