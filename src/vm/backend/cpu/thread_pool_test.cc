// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bcai::vm {
namespace {

TEST(ThreadPool, gives_every_unit_to_one_thread_once) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t units : {0, 1, 2, 3, 7, 8, 9, 100, 1000}) {
      for (int64_t chunk : {int64_t{1}, int64_t{3}, INT64_MAX}) {
        std::vector<std::atomic<int>> times(static_cast<size_t>(units));
        EXPECT_TRUE(pool.run(
            units,
            [&](int64_t begin, int64_t end, int thread) {
              EXPECT_LT(thread, threads);
              EXPECT_LE(end - begin, chunk);
              for (int64_t i = begin; i < end; ++i) times[static_cast<size_t>(i)]++;
            },
            chunk));
        for (auto& count : times) EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, gives_a_thread_the_same_range_in_every_run) {
  ThreadPool pool(3);
  std::vector<int64_t> first(3, -1);
  for (int round = 0; round < 50; ++round) {
    pool.run(100, [&](int64_t begin, int64_t, int thread) {
      auto& expected = first[static_cast<size_t>(thread)];
      if (round == 0) expected = begin;
      EXPECT_EQ(begin, expected);
    });
  }
}

// Far more threads than cores, and pauses long enough that threads fall asleep in between.
TEST(ThreadPool, works_when_oversubscribed_and_after_sleep) {
  ThreadPool pool(16);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int64_t> sum = 0;
    EXPECT_TRUE(pool.run(64, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    }));
    EXPECT_EQ(sum, 64 * 63 / 2);
    if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

// Several pools at once, as several programs on one machine.
TEST(ThreadPool, works_beside_other_pools) {
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([] {
      ThreadPool pool(3);
      for (int round = 0; round < 200; ++round) {
        std::atomic<int> done = 0;
        pool.run(9,
                 [&](int64_t begin, int64_t end, int) { done += static_cast<int>(end - begin); });
        EXPECT_EQ(done, 9);
      }
    });
  }
  for (auto& caller : callers) caller.join();
}

TEST(ThreadPool, stops_between_chunks_when_cancelled) {
  for (int threads : {1, 2}) {
    ThreadPool pool(threads);
    std::atomic<bool> cancelled = false;
    std::atomic<int> pieces = 0;
    EXPECT_FALSE(pool.run(
        1000,
        [&](int64_t, int64_t, int) {
          pieces++;
          cancelled = true;
        },
        1, &cancelled));
    EXPECT_LE(pieces, threads);
    cancelled = false;
    EXPECT_TRUE(pool.run(
        10, [](int64_t, int64_t, int) {}, 1, &cancelled));
  }
}

TEST(ThreadPool, sets_the_default_floating_point_environment_and_puts_it_back) {
  ThreadPool pool(2);
  std::fesetround(FE_UPWARD);
#if defined(__x86_64__)
  const unsigned before = _mm_getcsr() | _MM_FLUSH_ZERO_ON;
  _mm_setcsr(before);
#endif
  pool.run(2, [](int64_t, int64_t, int) {
    volatile float tiny = 0x1p-126f, half = 0.5f, one = 1.0f, small = 0x1p-30f;
    EXPECT_EQ(tiny * half, 0x1p-127f);
    EXPECT_EQ(one + small, 1.0f);
  });
#if defined(__x86_64__)
  EXPECT_EQ(_mm_getcsr() & ~0x3fu, before & ~0x3fu);
  _mm_setcsr(0x1f80);
#endif
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
}

}  // namespace
}  // namespace bcai::vm
