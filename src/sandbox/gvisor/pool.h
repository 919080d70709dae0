// SPDX-License-Identifier: Apache-2.0
// Guests that wait with their libraries loaded. One thread starts them for what has been asked for,
// and ends them when nobody comes or the machine runs short of memory.
#pragma once

#include <compare>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "sandbox/gvisor/guest.h"
#include "sandbox/zygote/pool.h"
#include "sandbox/zygote/preload.h"

namespace bcai::sandbox {

// Tasks with the same key may come from guests of one kind.
struct GuestKey {
  ZygoteKey libraries;
  int64_t scratch_bytes = 0;  // of /tmp and of /dev/shm
  auto operator<=>(const GuestKey&) const = default;
};

// Nothing: the task starts cold, for the reasons of zygote_key().
std::optional<GuestKey> guest_key(const Task& task, const Interpreter& interpreter);

class GuestPool {
 public:
  static constexpr size_t kWaitingMax = 2;  // of a key: some 150 MB each with torch
  static constexpr size_t kKeysMax = 4;     // with guests that wait

  // Starts one; `stop` readable ends that.
  using Start = std::function<Result<std::unique_ptr<Guest>>(const GuestKey& key, int stop)>;
  explicit GuestPool(Start start);
  // Ends every guest that waits. No task may run in one any more.
  ~GuestPool();

  // A guest that waits for a task that came now, if there is one. Any thread.
  std::unique_ptr<Guest> take(const GuestKey& key);

  // Blocks until as many guests of this key wait as shall.
  Result<void> await(const GuestKey& key);

 private:
  struct Entry {
    std::deque<std::unique_ptr<Guest>> waiting;
    Arrivals arrivals;
    Instant start_at;     // of the next: later after a failure, or while a task begins
    std::string failure;  // of the last start
  };
  using Guests = std::deque<std::unique_ptr<Guest>>;

  void keep();
  Millis pause() const;
  bool tend(std::unique_lock<std::mutex>& lock);
  void refill(std::unique_lock<std::mutex>& lock, const GuestKey& key);
  Guests superfluous(Instant now);
  void look_at_memory(Instant now);

  SystemClock clock_;
  Start start_;
  UniqueFd stop_;  // readable: the destructor has begun
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<GuestKey, Entry> entries_;
  Instant look_at_memory_;
  bool short_of_memory_ = false;
  bool stopping_ = false;
  std::thread keeper_;
};

}  // namespace bcai::sandbox
