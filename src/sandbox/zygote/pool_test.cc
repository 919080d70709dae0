// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/pool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

constexpr Millis kRefill{25};

TEST(Arrivals, AsManyWaitAsComeWhileOneIsMade) {
  Arrivals steady;
  EXPECT_EQ(steady.wanted(Instant{0}, kRefill), 0u);
  for (int64_t ms = 0; ms < 1000; ms += 100) steady.note(Instant{ms});
  EXPECT_EQ(steady.wanted(Instant{1000}, kRefill), kWaitingMin);

  Arrivals fast;
  for (int64_t ms = 0; ms < 1000; ms += 5) fast.note(Instant{ms});
  EXPECT_EQ(fast.wanted(Instant{1000}, kRefill), 6u);  // at 0, 5, … and 25 ms after each

  Arrivals burst;
  for (int i = 0; i < 20; i++) burst.note(Instant{500});
  EXPECT_EQ(burst.wanted(Instant{600}, kRefill), 19u);  // after the first 20 came, after the last 1
}

TEST(Arrivals, WhatIsLongAgoCountsLessAndLess) {
  Arrivals burst;
  for (int i = 0; i < 20; i++) burst.note(Instant{0});
  EXPECT_EQ(burst.wanted(Instant{60'001}, kRefill), kWaitingMin);
  EXPECT_EQ(burst.wanted(Instant{kPoolIdleMax.count()}, kRefill), 0u);
}

TEST(Memory, IsShortByPressureOrByWhatIsLeft) {
  const char* calm = "some avg10=0.00 avg60=22.00 avg300=9.00 total=1\nfull avg10=99.0";
  const char* strained = "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n";
  const char* plenty = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    100 kB\n";
  const char* little = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:     99 kB\n";
  EXPECT_FALSE(is_short_of_memory(calm, little));
  EXPECT_TRUE(is_short_of_memory(strained, plenty));
  EXPECT_FALSE(is_short_of_memory("", plenty));
  EXPECT_TRUE(is_short_of_memory("", little));
  EXPECT_FALSE(is_short_of_memory("", ""));
}

TEST(Cpu, IsShortByPressureOrByWhatRuns) {
  EXPECT_FALSE(is_short_of_cpu("some avg10=20.00 avg60=99.00 avg300=0.00 total=1\n", "99.0", 1));
  EXPECT_TRUE(is_short_of_cpu("some avg10=20.01 avg60=0.00 avg300=0.00 total=1\n", "0.0", 64));
  EXPECT_FALSE(is_short_of_cpu("", "2.00 9.00 9.00 1/100 7", 2));
  EXPECT_TRUE(is_short_of_cpu("", "2.01 0.00 0.00 1/100 7", 2));
}

TEST(Arrivals, AreCountedForAsLongAsAPoolIsKept) {
  Arrivals twice;
  twice.note(Instant{0});
  twice.note(Instant{1000});
  EXPECT_EQ(twice.count(Instant{1000}), 2u);
  EXPECT_EQ(twice.count(Instant{kPoolIdleMax.count()}), 1u);
  EXPECT_EQ(twice.count(Instant{kPoolIdleMax.count() + 1000}), 0u);
}

// A host on which no zygote can start: each key fails at once.
TEST(ZygotePool, ForgetsWhatNobodyAsksFor) {
  const std::filesystem::path state = make_temporary_directory();
  auto host = std::make_unique<ZygoteHost>();
  host->state = state;
  host->slots = std::make_unique<Slots>(state, 1, 4, Zygote::kIds);
  ZygotePool pool(std::move(host), 2, Millis(300));
  for (int tenant = 0; tenant < 5; tenant++) {
    EXPECT_FALSE(pool.take({.tenant = fmt::format("t{}", tenant)}));
  }
  EXPECT_EQ(pool.keys(), 5u);
  EXPECT_FALSE(pool.await({.tenant = "t0"}));
  for (int tries = 0; tries < 200 && pool.keys() != 0; tries++) {
    std::this_thread::sleep_for(Millis(50));
  }
  EXPECT_EQ(pool.keys(), 0u);
  std::filesystem::remove_all(state);
}

}  // namespace
}  // namespace bcai::sandbox
