// SPDX-License-Identifier: Apache-2.0
// Threads for work that blocks on the disk, so that the server's loop does not. Tasks begin in
// order; what is queued when it stops is still run.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bcai::coordinator {

class Worker {
 public:
  Worker(size_t threads, size_t queue_max);
  ~Worker();  // stops
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // False when too much is queued, or it stops; the task is then not taken. Any thread.
  bool post(std::function<void()> task);

  // Returns when all that was taken has been done. Others may still post; not from a task.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  size_t queue_max_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bcai::coordinator
