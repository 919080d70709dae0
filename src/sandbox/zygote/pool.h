// SPDX-License-Identifier: Apache-2.0
// The zygotes of an engine and their children that wait. One thread loads zygotes, keeps as many
// children waiting as the arrivals ask for, replaces zygotes that are old or have had their number,
// and gives way when the machine runs short of memory.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "sandbox/sandbox.h"
#include "sandbox/zygote/zygote.h"

namespace bcai::sandbox {

// How many children of a zygote shall wait: as many as arrive while one is made, in 95 of 100
// cases, and at least two; none when nobody has come for `kPoolIdleMax`.
class Arrivals {
 public:
  void note(Instant when);
  size_t wanted(Instant now, Millis refill) const;
  size_t count(Instant now) const;  // of the last kPoolIdleMax
  Instant last() const { return when_.empty() ? Instant{} : when_.back(); }

 private:
  std::deque<Instant> when_;  // of the last some
};

inline constexpr size_t kWaitingMin = 2;
inline constexpr Millis kPoolIdleMax{600'000};

// Whether the machine is short of memory, by /proc/pressure/memory where the kernel has it, else by
// /proc/meminfo. `pressure` "" is a kernel without.
bool is_short_of_memory(std::string_view pressure, std::string_view meminfo);

// Whether tasks wait for the machine's cores, by /proc/pressure/cpu where the kernel has it, else
// by /proc/loadavg.
bool is_short_of_cpu(std::string_view pressure, std::string_view loadavg, unsigned cores);

class ZygotePool {
 public:
  // What nobody has asked for in `idle_max` is forgotten.
  ZygotePool(std::unique_ptr<ZygoteHost> host, size_t waiting_max, Millis idle_max = kPoolIdleMax);
  // Ends every child that waits. No task may run from one any more.
  ~ZygotePool();

  struct Taken {
    ZygoteChild child;
    Start start = Start::kWarm;
  };
  // A child for a task that came now; nothing when there is no zygote yet, or neither it nor its
  // successor can fork. Any thread. A zygote is loaded beside the first task of a key, or, when the
  // machine has no core to spare, beside the second: it costs a second of CPU time, for nothing
  // when its user came once.
  std::optional<Taken> take(const ZygoteKey& key);

  // Blocks until as many children of this key wait as shall, and a successor that is due is loaded.
  // kUnavailable where the machine is short of memory, or no zygote starts.
  Result<void> await(const ZygoteKey& key);

  size_t keys() const;  // that it remembers

 private:
  struct Entry {
    std::shared_ptr<Zygote> zygote;
    std::shared_ptr<Zygote> successor;  // loaded before the zygote is spent
    std::deque<ZygoteChild> waiting;
    Arrivals arrivals;
    Millis refill{25};
    bool awaited = false;  // somebody waits for it
    Instant retry_at;      // after a failure
    Millis retry_pause{1'000};
    std::string failure;  // of the last start
  };
  using Entries = std::map<ZygoteKey, Entry>;

  void keep();
  bool tend(std::unique_lock<std::mutex>& lock);
  void load(std::unique_lock<std::mutex>& lock, const ZygoteKey& key);
  void refill(std::unique_lock<std::mutex>& lock, const ZygoteKey& key);
  enum class Heir : uint8_t { kTakesOver, kGoesToo };
  void retire(std::unique_lock<std::mutex>& lock, Entries::iterator entry, Heir successor);
  void fail(Entry& entry, const ZygoteKey& key, std::string_view what, std::string why);
  void make_room(std::unique_lock<std::mutex>& lock);
  bool shall_load(const Entry& entry, Instant now) const;
  bool shall_load_successor(const Entry& entry, Instant now) const;
  size_t loaded() const;
  Millis pause() const;
  static bool spent(const Entry& entry, Instant now);
  size_t wanted(const Entry& entry, Instant now) const;

  SystemClock clock_;
  std::unique_ptr<ZygoteHost> host_;
  size_t waiting_max_;
  Millis idle_max_;
  UniqueFd stop_;  // readable: the destructor has begun
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Entries entries_;
  Instant look_at_memory_;
  bool short_of_memory_ = false;
  bool stopping_ = false;
  std::thread keeper_;
};

}  // namespace bcai::sandbox
