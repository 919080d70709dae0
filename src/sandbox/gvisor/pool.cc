// SPDX-License-Identifier: Apache-2.0
#include "sandbox/gvisor/pool.h"

#include <sys/eventfd.h>

#include <algorithm>

#include "base/log.h"
#include "sandbox/bundle.h"

namespace bcai::sandbox {
namespace {

constexpr Millis kLookPause{5'000};
constexpr Millis kRetryPause{60'000};
constexpr Millis kBreath{200};  // for a task that came, before its guest is replaced

}  // namespace

std::optional<GuestKey> guest_key(const Task& task, const Interpreter& interpreter) {
  auto libraries = zygote_key(task, interpreter);
  if (!libraries) return std::nullopt;
  return GuestKey{.libraries = *std::move(libraries),
                  .scratch_bytes = scratch_bytes_max(task.limits)};
}

GuestPool::GuestPool(Start start)
    : start_(std::move(start)), stop_(eventfd(0, EFD_CLOEXEC)), keeper_([this] { keep(); }) {}

GuestPool::~GuestPool() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  eventfd_write(stop_.get(), 1);
  changed_.notify_all();
  keeper_.join();
}

std::unique_ptr<Guest> GuestPool::take(const GuestKey& key) {
  const std::lock_guard guard(mutex_);
  Entry& entry = entries_[key];
  entry.arrivals.note(clock_.now());
  entry.start_at = std::max(entry.start_at, clock_.now() + kBreath);
  changed_.notify_all();
  // One that has died is the keeper's to remove.
  const auto found = std::find_if(entry.waiting.begin(), entry.waiting.end(),
                                  [](const auto& guest) { return guest->alive(); });
  if (found == entry.waiting.end()) return nullptr;
  std::unique_ptr<Guest> guest = std::move(*found);
  entry.waiting.erase(found);
  return guest;
}

Result<void> GuestPool::await(const GuestKey& key) {
  std::unique_lock lock(mutex_);
  Entry& entry = entries_[key];
  entry.arrivals.note(clock_.now());
  entry.failure.clear();
  entry.start_at = {};
  changed_.notify_all();
  changed_.wait(lock, [&] {
    return stopping_ || !entry.failure.empty() || entry.waiting.size() >= kWaitingMax;
  });
  if (entry.failure.empty() && !stopping_) return {};
  return error(ErrorCode::kUnavailable, "no sandbox waits: {}", entry.failure);
}

void GuestPool::keep() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!tend(lock)) changed_.wait_for(lock, pause());
  }
  // By this thread, which all of them die with.
  entries_.clear();
}

// Until something may be to be done without anybody's coming.
Millis GuestPool::pause() const {
  Millis pause = kLookPause;
  for (const auto& [key, entry] : entries_) {
    const Millis left = entry.start_at - clock_.now();
    if (left > Millis(0)) pause = std::min(pause, left);
  }
  return pause;
}

// Does one thing that is to be done; false when nothing is.
bool GuestPool::tend(std::unique_lock<std::mutex>& lock) {
  const Instant now = clock_.now();
  look_at_memory(now);
  if (Guests over = superfluous(now); !over.empty()) {
    lock.unlock();
    over.clear();
    lock.lock();
    return true;
  }
  const auto wanting = std::find_if(entries_.begin(), entries_.end(), [&](const auto& item) {
    return item.second.waiting.size() < kWaitingMax && now >= item.second.start_at;
  });
  if (short_of_memory_ || wanting == entries_.end()) return false;
  refill(lock, GuestKey(wanting->first));
  return true;
}

void GuestPool::look_at_memory(Instant now) {
  if (now < look_at_memory_) return;
  look_at_memory_ = now + kLookPause;
  short_of_memory_ = is_short_of_memory(text_of("/proc/pressure/memory"), text_of("/proc/meminfo"));
}

// Dead guests; all of a key that nobody has asked for; of more keys than may be, those of the one
// that was asked for the longest ago; and one, of that key too, while memory is short.
GuestPool::Guests GuestPool::superfluous(Instant now) {
  Guests over;
  const auto give_up = [&](std::map<GuestKey, Entry>::iterator it) {
    std::move(it->second.waiting.begin(), it->second.waiting.end(), std::back_inserter(over));
    return entries_.erase(it);
  };
  for (auto it = entries_.begin(); it != entries_.end();) {
    std::erase_if(it->second.waiting, [&](std::unique_ptr<Guest>& guest) {
      if (guest->alive()) return false;
      over.push_back(std::move(guest));
      return true;
    });
    const bool idle = now - it->second.arrivals.last() >= kPoolIdleMax;
    it = idle ? give_up(it) : std::next(it);
  }
  const auto oldest =
      std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
        return a.second.arrivals.last() < b.second.arrivals.last();
      });
  if (oldest == entries_.end()) return over;
  if (entries_.size() > kKeysMax) {
    give_up(oldest);
  } else if (short_of_memory_ && !oldest->second.waiting.empty()) {
    over.push_back(std::move(oldest->second.waiting.front()));
    oldest->second.waiting.pop_front();
  }
  return over;
}

void GuestPool::refill(std::unique_lock<std::mutex>& lock, const GuestKey& key) {
  lock.unlock();
  auto guest = start_(key, stop_.get());
  lock.lock();
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;  // given up meanwhile; `guest` goes with us
  if (guest) {
    found->second.waiting.push_back(*std::move(guest));
  } else if (!stopping_) {
    found->second.failure = guest.error().message;
    found->second.start_at = clock_.now() + kRetryPause;
    log_event(LogLevel::kWarn, "sandbox.guest_failed",
              {{"preload", key.libraries.preload}, {"why", found->second.failure}});
  }
  changed_.notify_all();
}

}  // namespace bcai::sandbox
