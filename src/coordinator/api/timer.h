// SPDX-License-Identifier: Apache-2.0
// Runs short tasks at their time, on a thread of its own that sleeps until the next one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/clock.h"

namespace bcai::coordinator {

class Timer {
 public:
  explicit Timer(const Clock& clock);
  ~Timer();  // stops
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // The task must not block. After stop() nothing is taken and 0 is given.
  uint64_t after(Millis delay, std::function<void()> task);
  // A task that has begun goes on.
  void cancel(uint64_t id);
  // Waits for the task under way; the others are dropped.
  void stop();

 private:
  struct Task {
    uint64_t id = 0;
    std::function<void()> run;
  };
  using Tasks = std::multimap<Instant, Task>;

  void run();

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Tasks tasks_;
  std::unordered_map<uint64_t, Tasks::iterator> by_id_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bcai::coordinator
