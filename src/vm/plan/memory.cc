// SPDX-License-Identifier: Apache-2.0
// Greedy by size into the best gap (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
// Net Inference", 2020), then exchanges in the order of placement as long as they help.
#include "vm/plan/memory.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace bcai::vm {
namespace {

constexpr int kExchangesMax = 200;

int64_t rounded(int64_t bytes) {
  return (std::max<int64_t>(bytes, 1) + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

int64_t most_alive(std::span<const Lifetime> lifetimes) {
  std::vector<std::pair<int64_t, int64_t>> changes;  // step, bytes gained
  for (const Lifetime& lifetime : lifetimes) {
    changes.emplace_back(lifetime.first, rounded(lifetime.bytes));
    changes.emplace_back(lifetime.last + 1, -rounded(lifetime.bytes));
  }
  std::sort(changes.begin(), changes.end());  // at one step, what ends comes first
  int64_t alive = 0;
  int64_t most = 0;
  for (const auto& [step, gained] : changes) most = std::max(most, alive += gained);
  return most;
}

class Placer {
 public:
  explicit Placer(std::span<const Lifetime> lifetimes) : lifetimes_(lifetimes) {
    neighbours_.resize(lifetimes.size());
    std::vector<size_t> by_first(lifetimes.size());
    std::iota(by_first.begin(), by_first.end(), 0);
    std::sort(by_first.begin(), by_first.end(),
              [&](size_t a, size_t b) { return lifetimes[a].first < lifetimes[b].first; });
    std::vector<size_t> alive;
    for (const size_t next : by_first) {
      std::erase_if(alive, [&](size_t i) { return lifetimes[i].last < lifetimes[next].first; });
      for (const size_t i : alive) {
        neighbours_[i].push_back(next);
        neighbours_[next].push_back(i);
      }
      alive.push_back(next);
    }
  }

  // The arena's size when the buffers are placed in this order.
  int64_t place(const std::vector<size_t>& order, std::vector<int64_t>* offsets) const {
    offsets->assign(lifetimes_.size(), -1);
    int64_t arena = 0;
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const size_t buffer : order) {
      taken.clear();
      for (const size_t i : neighbours_[buffer]) {
        if ((*offsets)[i] >= 0) {
          taken.emplace_back((*offsets)[i], (*offsets)[i] + rounded(lifetimes_[i].bytes));
        }
      }
      std::sort(taken.begin(), taken.end());
      (*offsets)[buffer] = best_gap(taken, rounded(lifetimes_[buffer].bytes));
      arena = std::max(arena, (*offsets)[buffer] + rounded(lifetimes_[buffer].bytes));
    }
    return arena;
  }

 private:
  static int64_t best_gap(const std::vector<std::pair<int64_t, int64_t>>& taken, int64_t bytes) {
    int64_t at = 0;
    int64_t best = -1;
    int64_t best_size = std::numeric_limits<int64_t>::max();
    for (const auto& [begin, end] : taken) {
      const int64_t gap = begin - at;
      if (gap >= bytes && gap < best_size) {
        best = at;
        best_size = gap;
      }
      at = std::max(at, end);
    }
    return best >= 0 ? best : at;
  }

  std::span<const Lifetime> lifetimes_;
  std::vector<std::vector<size_t>> neighbours_;
};

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes) {
  MemoryPlan plan;
  plan.live_bytes_max = most_alive(lifetimes);
  if (lifetimes.empty()) return plan;
  const Placer placer(lifetimes);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  plan.arena_bytes = placer.place(order, &plan.offsets);
  // The buffer that ends highest is placed earlier: it is what makes the arena large.
  std::vector<int64_t> offsets;
  for (int i = 0; i < kExchangesMax && plan.arena_bytes > plan.live_bytes_max; ++i) {
    const auto highest = std::max_element(order.begin(), order.end(), [&](size_t a, size_t b) {
      return plan.offsets[a] + rounded(lifetimes[a].bytes) <
             plan.offsets[b] + rounded(lifetimes[b].bytes);
    });
    if (highest == order.begin()) break;
    std::vector<size_t> changed = order;
    const auto position = changed.begin() + (highest - order.begin());
    std::rotate(changed.begin() + (highest - order.begin()) / 2, position, position + 1);
    const int64_t arena = placer.place(changed, &offsets);
    if (arena > plan.arena_bytes) break;
    order = std::move(changed);
    plan.arena_bytes = arena;
    plan.offsets = offsets;
  }
  return plan;
}

// Sweeps the arena from below: among the buffers that begin at or below a place, none may end above
// it while sharing a step with the next.
Result<void> check_memory(std::span<const Lifetime> lifetimes, const MemoryPlan& plan) {
  if (plan.offsets.size() != lifetimes.size()) {
    return error(ErrorCode::kInternal, "plan has {} offsets, expected {}", plan.offsets.size(),
                 lifetimes.size());
  }
  std::vector<size_t> order(lifetimes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    const int64_t offset = plan.offsets[i];
    const int64_t bytes = lifetimes[i].bytes;
    if (bytes < 0 || offset < 0 || offset % kBufferAlignment != 0 || bytes > plan.arena_bytes ||
        offset > plan.arena_bytes - bytes) {
      return error(ErrorCode::kInternal,
                   "buffer {} at {} with {} bytes is outside {} or misaligned", i, offset, bytes,
                   plan.arena_bytes);
    }
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; });
  std::vector<size_t> open;
  for (const size_t next : order) {
    std::erase_if(
        open, [&](size_t i) { return plan.offsets[i] + lifetimes[i].bytes <= plan.offsets[next]; });
    for (const size_t i : open) {
      const bool apart =
          lifetimes[i].last < lifetimes[next].first || lifetimes[next].last < lifetimes[i].first;
      if (lifetimes[next].bytes > 0 && !apart) {
        return error(ErrorCode::kInternal, "buffers {} and {} overlap while both are alive", i,
                     next);
      }
    }
    open.push_back(next);
  }
  return {};
}

}  // namespace bcai::vm
