// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/timer.h"

#include <utility>

namespace bcai::coordinator {

Timer::Timer(const Clock& clock) : clock_(clock), thread_([this] { run(); }) {}

Timer::~Timer() { stop(); }

uint64_t Timer::after(Millis delay, std::function<void()> task) {
  bool is_next = false;
  uint64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return 0;
    id = next_id_++;
    const auto at = tasks_.emplace(clock_.now() + delay, Task{id, std::move(task)});
    by_id_.emplace(id, at);
    is_next = at == tasks_.begin();
  }
  if (is_next) wake_.notify_one();
  return id;
}

void Timer::cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  tasks_.erase(found->second);
  by_id_.erase(found);
}

void Timer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Timer::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (tasks_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto first = tasks_.begin();
    if (const Millis left = first->first - clock_.now(); left.count() > 0) {
      wake_.wait_for(lock, left);
      continue;
    }
    const std::function<void()> task = std::move(first->second.run);
    by_id_.erase(first->second.id);
    tasks_.erase(first);
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace bcai::coordinator
