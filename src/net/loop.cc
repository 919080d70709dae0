// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <exception>
#include <utility>

#include "base/log.h"
#include "base/result.h"

namespace bcai::net {
namespace {

constexpr size_t kScratchBytes = size_t{64} * 1024;
constexpr Millis kDelayMax = std::chrono::hours(24 * 365);

// A library may throw (memory, above all); one request must not take the server down.
void run_guarded(const std::function<void()>& task) {
  try {
    task();
  } catch (const std::exception& thrown) {
    log_event(LogLevel::kError, "net.task_failed", {{"error", thrown.what()}});
  }
}

}  // namespace

bool Mailbox::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return false;
  tasks_.push_back(std::move(task));
  if (tasks_.size() == 1) {
    asio::post(loop_->io_, [loop = loop_] { loop->drain(); });
  }
  return true;
}

Loop::Loop()
    : scratch_(kScratchBytes), io_(1), timer_(io_), mailbox_(std::make_shared<Mailbox>(this)) {}

Loop::~Loop() {
  stop([] {});
}

void Loop::start() {
  // Signals go to the program's other threads; SIGPIPE, which OpenSSL can raise, to none.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "net");
}

void Loop::run() {
  const auto guard = asio::make_work_guard(io_);
  io_.run();
}

void Loop::stop(const std::function<void()>& last) {
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    if (mailbox_->loop_ == nullptr) return;
    mailbox_->loop_ = nullptr;
    dropped.swap(mailbox_->tasks_);
  }
  if (thread_.joinable()) {
    BCAI_ASSERT(thread_.get_id() != std::this_thread::get_id());
    asio::post(io_, [this, &last] {
      last();
      timer_.cancel();
      io_.stop();
    });
    thread_.join();
  } else {
    last();
  }
  due_.clear();
}

void Loop::after(Millis delay, std::function<void()> task) {
  const Instant at = now() + std::clamp(delay, Millis(0), kDelayMax);
  post([this, at, task = std::move(task)]() mutable {
    due_.emplace(at, std::move(task));
    arm_timer();
  });
}

void Loop::drain() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    tasks.swap(mailbox_->tasks_);
  }
  for (const auto& task : tasks) run_guarded(task);
}

void Loop::arm_timer() {
  if (due_.empty() || due_.begin()->first >= timer_at_) return;
  timer_at_ = due_.begin()->first;
  timer_.expires_after(std::max(timer_at_ - now(), Millis(0)));
  timer_.async_wait([this](const boost::system::error_code& status) {
    if (status) return;
    timer_at_ = {INT64_MAX};
    run_due();
    arm_timer();
  });
}

void Loop::run_due() {
  const Instant now_at = now();
  while (!due_.empty() && due_.begin()->first <= now_at) {
    const std::function<void()> task = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    run_guarded(task);
  }
}

}  // namespace bcai::net
