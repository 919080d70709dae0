// SPDX-License-Identifier: Apache-2.0
// Threads for work that blocks. One is started when none is idle, up to a number; they stay, since
// the next attempt comes soon. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bcai::node {

class Crew {
 public:
  explicit Crew(size_t threads_max) : threads_max_(threads_max) {}
  ~Crew() { join(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void run(std::function<void()> task);
  // Finishes what was given and ends the threads. No run() after it.
  void join();

 private:
  void work();

  size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool closed_ = false;
};

}  // namespace bcai::node
