// SPDX-License-Identifier: Apache-2.0
// One thread that waits: on descriptors, on times, and on tasks that other threads hand it. It does
// not wake while none of them has anything to say.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace bcai::net {

namespace asio = boost::asio;

// A descriptor of which only the readiness is awaited. The concrete executor keeps it small.
using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;
using LoopTimer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                             asio::wait_traits<std::chrono::steady_clock>,
                                             asio::io_context::executor_type>;

class Loop;

// The way into a loop from anywhere. It may outlive the loop; what is posted then is dropped.
class Mailbox {
 public:
  explicit Mailbox(Loop* loop) : loop_(loop) {}
  // Thread-safe. The task never runs inside post(). False when the loop has stopped.
  bool post(std::function<void()> task);

 private:
  friend class Loop;
  std::mutex mutex_;
  Loop* loop_;  // nullptr once stopped
  std::vector<std::function<void()>> tasks_;
};

class Loop {
 public:
  Loop();
  ~Loop();  // stops
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void start();
  // Runs `last` on the loop's thread, joins it and drops what was posted. Not from that thread.
  void stop(const std::function<void()>& last);

  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  void post(std::function<void()> task) { mailbox_->post(std::move(task)); }
  void after(Millis delay, std::function<void()> task);  // thread-safe

  // The rest is for the loop's thread.
  asio::io_context& io() { return io_; }
  Instant now() const { return clock_.now(); }
  const Clock& clock() const { return clock_; }
  // Shared by all connections of the thread, so that an idle one holds no buffer.
  std::span<char> scratch() { return scratch_; }

 private:
  friend class Mailbox;

  void run();
  void drain();
  void arm_timer();
  void run_due();

  SystemClock clock_;
  std::vector<char> scratch_;
  asio::io_context io_;
  LoopTimer timer_;
  Instant timer_at_{INT64_MAX};
  std::multimap<Instant, std::function<void()>> due_;
  std::shared_ptr<Mailbox> mailbox_;
  std::thread thread_;
};

}  // namespace bcai::net
