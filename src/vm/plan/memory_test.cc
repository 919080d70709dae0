// SPDX-License-Identifier: Apache-2.0
#include "vm/plan/memory.h"

#include <gtest/gtest.h>

#include <random>

namespace bcai::vm {
namespace {

TEST(MemoryTest, AChainNeedsTwoBuffers) {
  std::vector<Lifetime> chain;
  for (int64_t i = 0; i < 20; ++i) chain.push_back({4096, i, i + 1});
  const MemoryPlan plan = plan_memory(chain);
  EXPECT_EQ(plan.live_bytes_max, 8192);
  EXPECT_EQ(plan.arena_bytes, 8192);
  EXPECT_TRUE(check_memory(chain, plan));
}

TEST(MemoryTest, NothingAndEmptyBuffers) {
  EXPECT_EQ(plan_memory({}).arena_bytes, 0);
  const std::vector<Lifetime> empty = {{0, 0, 5}, {0, 1, 2}, {64, 1, 1}};
  EXPECT_TRUE(check_memory(empty, plan_memory(empty)));
}

TEST(MemoryTest, RandomLifetimesFitAndComeNearTheBound) {
  std::mt19937 random(7);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  double worst = 1;
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> lifetimes;
    const int64_t count = 1 + below(80);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = below(100);
      lifetimes.push_back({1 + below(100'000), first, first + below(10)});
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    ASSERT_TRUE(check_memory(lifetimes, plan));
    ASSERT_GE(plan.arena_bytes, plan.live_bytes_max);
    worst = std::max(
        worst, static_cast<double>(plan.arena_bytes) / static_cast<double>(plan.live_bytes_max));
  }
  EXPECT_LT(worst, 1.5);
}

TEST(MemoryTest, TheCheckerSeesEveryFault) {
  const std::vector<Lifetime> lifetimes = {{100, 0, 3}, {100, 2, 4}, {100, 4, 5}};
  const auto problem = [&](std::vector<int64_t> offsets, int64_t arena) {
    const Result<void> checked = check_memory(lifetimes, {std::move(offsets), arena, 0});
    return checked ? "" : checked.error().message;
  };
  EXPECT_EQ(problem({0, 128, 0}, 256), "");
  EXPECT_EQ(problem({0, 64, 0}, 256), "buffers 0 and 1 overlap while both are alive");
  EXPECT_EQ(problem({0, 128, 128}, 256), "buffers 1 and 2 overlap while both are alive");
  EXPECT_EQ(problem({0, 192, 0}, 256),
            "buffer 1 at 192 with 100 bytes is outside 256 or misaligned");
  EXPECT_EQ(problem({0, 130, 0}, 256),
            "buffer 1 at 130 with 100 bytes is outside 256 or misaligned");
  EXPECT_EQ(problem({0, 128}, 256), "plan has 2 offsets, expected 3");
}

}  // namespace
}  // namespace bcai::vm
