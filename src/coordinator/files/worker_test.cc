// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace bcai::coordinator {
namespace {

TEST(WorkerTest, RunsEverythingThatWasTaken) {
  std::atomic<int> ran = 0;
  {
    Worker worker(2, 1000);
    for (int i = 0; i < 1000; ++i) {
      while (!worker.post([&] { ++ran; })) std::this_thread::yield();
    }
  }
  EXPECT_EQ(ran, 1000);
}

TEST(WorkerTest, RefusesWhatIsTooMuch) {
  std::promise<void> gate;
  std::shared_future<void> open = gate.get_future().share();
  std::promise<void> began;
  Worker worker(1, 2);
  ASSERT_TRUE(worker.post([&] {
    began.set_value();
    open.wait();
  }));
  began.get_future().wait();
  EXPECT_TRUE(worker.post([] {}));
  EXPECT_TRUE(worker.post([] {}));
  EXPECT_FALSE(worker.post([] {}));
  gate.set_value();
}

TEST(WorkerTest, StopDoesWhatWasTakenAndTakesNoMore) {
  std::atomic<int> ran = 0;
  Worker worker(1, 10);
  for (int i = 0; i < 10; ++i) (void)worker.post([&] { ++ran; });
  worker.stop();
  EXPECT_GT(ran, 0);
  const int before = ran;
  EXPECT_FALSE(worker.post([&] { ++ran; }));
  worker.stop();
  EXPECT_EQ(ran, before);
}

}  // namespace
}  // namespace bcai::coordinator
