// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/sum.h"

#include <algorithm>
#include <array>

namespace bcai::vm::reference {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kLanes = 16;

// `join` adds or multiplies two lanes or blocks.
template <typename Accumulate, typename Join>
float fold(int64_t count, float start, const Accumulate& accumulate, const Join& join) {
  std::vector<float> blocks;
  for (int64_t begin = 0; begin < count || blocks.empty(); begin += kBlock) {
    std::array<float, kLanes> lanes{};
    lanes.fill(start);
    for (int64_t i = begin; i < std::min(begin + kBlock, count); ++i) {
      float& lane = lanes[static_cast<size_t>((i - begin) % kLanes)];
      lane = accumulate(lane, i);
    }
    for (size_t half = kLanes / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) lanes[i] = join(lanes[i], lanes[i + half]);
    }
    blocks.push_back(lanes[0]);
  }
  if (blocks.size() == 1) return blocks[0];
  const auto next = [&](float lane, int64_t i) {
    return join(lane, blocks[static_cast<size_t>(i)]);
  };
  return fold(static_cast<int64_t>(blocks.size()), start,
              std::function<float(float, int64_t)>(next), join);
}

float plus(float a, float b) { return a + b; }
float times(float a, float b) { return a * b; }

}  // namespace

float sum_r4(int64_t count, const std::function<float(float lane, int64_t i)>& accumulate) {
  return fold(count, 0.0F, accumulate, plus);
}

float sum_r4(const std::vector<float>& terms) {
  return sum_r4(static_cast<int64_t>(terms.size()),
                [&](float lane, int64_t i) { return lane + terms[static_cast<size_t>(i)]; });
}

float product_r4(const std::vector<float>& terms) {
  const std::function<float(float, int64_t)> accumulate = [&](float lane, int64_t i) {
    return lane * terms[static_cast<size_t>(i)];
  };
  return fold(static_cast<int64_t>(terms.size()), 1.0F, accumulate, times);
}

}  // namespace bcai::vm::reference
