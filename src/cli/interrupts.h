// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM as events. After install() neither ends the process by itself: what waits
// registers how it is woken. One object in the process, installed before the first thread.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/file.h"

namespace bcai::cli {

class Interrupts {
 public:
  Interrupts() = default;
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Takes over SIGINT and SIGTERM. Without it only raise() interrupts.
  void install();

  // As if a signal had come. Thread-safe.
  void raise();

  int count() const { return count_; }

  // Calls `wake` from a thread of its own at every interrupt from now on; at once when one has come
  // since `seen` were counted. An empty function ends it. Returns after a call under way.
  void on_interrupt(int seen, std::function<void()> wake);

  // Until the time is over or an interrupt comes after `seen`. True when interrupted.
  bool sleep(Millis duration, int seen) const;
  // Until the next one after `seen`.
  void wait(int seen) const;

 private:
  void watch();

  std::atomic<int> count_{0};
  std::mutex mutex_;
  std::function<void()> wake_;
  UniqueFd event_;
  std::atomic<bool> ending_{false};
  std::thread watcher_;
};

}  // namespace bcai::cli
