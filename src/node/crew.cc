// SPDX-License-Identifier: Apache-2.0
#include "node/crew.h"

namespace bcai::node {

void Crew::run(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > idle_ && threads_.size() < threads_max_) {
      threads_.emplace_back([this] { work(); });
    }
  }
  given_.notify_one();
}

void Crew::join() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    threads.swap(threads_);
  }
  given_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void Crew::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_ += 1;
    given_.wait(lock, [&] { return closed_ || !tasks_.empty(); });
    idle_ -= 1;
    if (tasks_.empty()) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace bcai::node
