// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/timer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

namespace bcai::coordinator {
namespace {

TEST(TimerTest, RunsTasksInTheOrderOfTheirTimes) {
  SystemClock clock;
  Timer timer(clock);
  std::vector<int> order;
  std::promise<void> last;
  timer.after(Millis(60), [&] {
    order.push_back(3);
    last.set_value();
  });
  timer.after(Millis(30), [&] { order.push_back(2); });
  timer.after(Millis(0), [&] { order.push_back(1); });
  last.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(TimerTest, WhatIsCancelledDoesNotRun) {
  SystemClock clock;
  Timer timer(clock);
  std::atomic<bool> ran = false;
  std::promise<void> after;
  timer.cancel(timer.after(Millis(20), [&] { ran = true; }));
  timer.after(Millis(40), [&] { after.set_value(); });
  after.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST(TimerTest, StopDropsWhatIsLeft) {
  SystemClock clock;
  Timer timer(clock);
  timer.after(Millis(60'000), [] { FAIL(); });
  timer.stop();
  EXPECT_EQ(timer.after(Millis(0), [] { FAIL(); }), 0U);
}

}  // namespace
}  // namespace bcai::coordinator
