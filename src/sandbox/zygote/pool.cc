// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/pool.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/log.h"

namespace bcai::sandbox {
namespace {

constexpr size_t kArrivalsKept = 128;
constexpr Millis kArrivalsAge{60'000};
constexpr Millis kCalm{10'000};  // without arrivals: spare children go
constexpr size_t kZygotesMax = 8;
constexpr Millis kSuccessorAge = Zygote::kAgeMax - Millis(60'000);
constexpr Millis kMemoryLookPause{5'000};
constexpr Millis kRetryPauseMax{60'000};
constexpr Millis kDeadPause{1'000};         // before a zygote that ended is loaded again
constexpr double kPressurePercentMax = 10;  // of the last ten seconds, somebody waited for memory
constexpr double kCpuPressurePercentMax = 20;
constexpr int64_t kAvailableShare = 10;  // at least one part in this many

// "MemTotal:   24 kB" → 24
int64_t kilobytes(std::string_view meminfo, std::string_view key) {
  const size_t at = meminfo.find(key);
  if (at == std::string_view::npos) return 0;
  meminfo.remove_prefix(at + key.size());
  meminfo.remove_prefix(std::min(meminfo.find_first_not_of(": "), meminfo.size()));
  return parse_number(meminfo.substr(0, meminfo.find(' '))).value_or(0);
}

// "some avg10=0.12 …" → 0.12; nothing from a kernel without.
std::optional<double> percent_of_ten_seconds(std::string_view pressure) {
  constexpr std::string_view kAverage = "some avg10=";
  const size_t at = pressure.find(kAverage);
  if (at == std::string_view::npos) return std::nullopt;
  double percent = 0;
  std::from_chars(pressure.data() + at + kAverage.size(), pressure.data() + pressure.size(),
                  percent);
  return percent;
}

}  // namespace

void Arrivals::note(Instant when) {
  when_.push_back(when);
  if (when_.size() > kArrivalsKept) when_.pop_front();
}

size_t Arrivals::wanted(Instant now, Millis refill) const {
  if (when_.empty() || now - when_.back() >= kPoolIdleMax) return 0;
  std::vector<size_t> counts;
  for (auto first = when_.begin(); first != when_.end(); ++first) {
    if (now - *first > kArrivalsAge) continue;
    const auto past = std::upper_bound(first, when_.end(), *first + refill);
    counts.push_back(static_cast<size_t>(past - first));
  }
  if (counts.empty()) return kWaitingMin;
  const size_t rank = (counts.size() * 95 + 99) / 100 - 1;
  std::nth_element(counts.begin(), counts.begin() + static_cast<ptrdiff_t>(rank), counts.end());
  return std::max(counts[rank], kWaitingMin);
}

size_t Arrivals::count(Instant now) const {
  return static_cast<size_t>(std::count_if(
      when_.begin(), when_.end(), [&](Instant when) { return now - when < kPoolIdleMax; }));
}

bool is_short_of_memory(std::string_view pressure, std::string_view meminfo) {
  if (const auto percent = percent_of_ten_seconds(pressure)) return *percent > kPressurePercentMax;
  return kilobytes(meminfo, "MemAvailable") * kAvailableShare < kilobytes(meminfo, "MemTotal");
}

bool is_short_of_cpu(std::string_view pressure, std::string_view loadavg, unsigned cores) {
  if (const auto percent = percent_of_ten_seconds(pressure)) {
    return *percent > kCpuPressurePercentMax;
  }
  double running = 0;
  std::from_chars(loadavg.data(), loadavg.data() + loadavg.size(), running);
  return running > cores;
}

ZygotePool::ZygotePool(std::unique_ptr<ZygoteHost> host, size_t waiting_max, Millis idle_max)
    : host_(std::move(host)),
      waiting_max_(waiting_max),
      idle_max_(idle_max),
      stop_(eventfd(0, EFD_CLOEXEC)),
      keeper_([this] { keep(); }) {}

ZygotePool::~ZygotePool() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  eventfd_write(stop_.get(), 1);
  changed_.notify_all();
  keeper_.join();
  for (auto& [key, entry] : entries_) {
    for (ZygoteChild& child : entry.waiting) discard(std::move(child));
  }
}

std::optional<ZygotePool::Taken> ZygotePool::take(const ZygoteKey& key) {
  std::unique_lock lock(mutex_);
  Entry& entry = entries_[key];
  entry.arrivals.note(clock_.now());
  changed_.notify_all();
  std::optional<Taken> taken;
  std::vector<ZygoteChild> dead;
  while (!taken && !entry.waiting.empty()) {
    ZygoteChild child = std::move(entry.waiting.front());
    entry.waiting.pop_front();
    if (child.zygote->alive()) {
      taken = Taken{std::move(child), Start::kWarm};
    } else {
      dead.push_back(std::move(child));
    }
  }
  const std::array zygotes{entry.zygote, entry.successor};
  lock.unlock();
  for (ZygoteChild& child : dead) discard(std::move(child));
  if (taken) return taken;
  for (const std::shared_ptr<Zygote>& zygote : zygotes) {
    if (!zygote || !zygote->alive()) continue;
    auto child = zygote->fork();
    if (child) return Taken{*std::move(child), Start::kForked};
    if (child.error().code != ErrorCode::kResourceExhausted) {
      log_event(LogLevel::kWarn, "sandbox.fork_failed", {{"why", child.error().message}});
    }
  }
  return std::nullopt;
}

Result<void> ZygotePool::await(const ZygoteKey& key) {
  std::unique_lock lock(mutex_);
  Entry& asked = entries_[key];
  asked.arrivals.note(clock_.now());
  asked.failure.clear();
  asked.awaited = true;
  changed_.notify_all();
  Entries::iterator entry;
  changed_.wait(lock, [&] {
    entry = entries_.find(key);
    if (stopping_ || short_of_memory_) return true;
    if (entry == entries_.end() || !entry->second.failure.empty()) return true;
    const Instant now = clock_.now();
    return entry->second.zygote && entry->second.waiting.size() >= wanted(entry->second, now) &&
           !shall_load_successor(entry->second, now);
  });
  const auto unavailable = [](std::string_view why) {
    return error(ErrorCode::kUnavailable, "no zygote can be had: {}", why);
  };
  if (stopping_ || entry == entries_.end()) return unavailable("it was given up");
  if (!entry->second.failure.empty()) return unavailable(entry->second.failure);
  if (short_of_memory_) return unavailable("the machine is short of memory");
  return {};
}

size_t ZygotePool::keys() const {
  const std::lock_guard guard(mutex_);
  return entries_.size();
}

void ZygotePool::keep() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (tend(lock)) continue;
    if (entries_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, pause());
    }
  }
}

// Until something may be to be done without anybody's coming.
Millis ZygotePool::pause() const {
  Millis pause = std::min(kMemoryLookPause, idle_max_);
  for (const auto& [key, entry] : entries_) {
    const Millis left = entry.retry_at - clock_.now();
    if (!entry.zygote && left > Millis(0)) pause = std::min(pause, left);
  }
  return pause;
}

bool ZygotePool::spent(const Entry& entry, Instant now) {
  return !entry.zygote->alive() || entry.zygote->forked() >= Zygote::kChildrenMax ||
         now - entry.zygote->started() >= Zygote::kAgeMax;
}

// Read at each decision, not kept: it is rare, and the pressure of before is not that of now.
bool ZygotePool::shall_load(const Entry& entry, Instant now) const {
  if (entry.zygote || short_of_memory_ || now < entry.retry_at) return false;
  if (entry.awaited) return true;
  // Else what made room for another key would take it back at once.
  const auto asked_later = [&](const auto& other) {
    return !other.second.zygote || other.second.arrivals.last() >= entry.arrivals.last();
  };
  if (loaded() >= kZygotesMax && std::all_of(entries_.begin(), entries_.end(), asked_later)) {
    return false;
  }
  return entry.arrivals.count(now) > 1 ||
         !is_short_of_cpu(text_of("/proc/pressure/cpu"), text_of("/proc/loadavg"),
                          std::thread::hardware_concurrency());
}

// Its load takes seconds, in which every job would start cold.
bool ZygotePool::shall_load_successor(const Entry& entry, Instant now) const {
  if (!entry.zygote || entry.successor || short_of_memory_ || now < entry.retry_at) return false;
  return loaded() < kZygotesMax && (entry.zygote->forked() >= Zygote::kChildrenMax / 2 ||
                                    now - entry.zygote->started() >= kSuccessorAge);
}

size_t ZygotePool::loaded() const {
  size_t count = 0;
  for (const auto& [key, entry] : entries_) {
    count += (entry.zygote ? 1U : 0U) + (entry.successor ? 1U : 0U);
  }
  return count;
}

size_t ZygotePool::wanted(const Entry& entry, Instant now) const {
  return short_of_memory_ ? 0 : std::min(waiting_max_, entry.arrivals.wanted(now, entry.refill));
}

// Does one thing that is to be done; false when nothing is.
bool ZygotePool::tend(std::unique_lock<std::mutex>& lock) {
  const Instant now = clock_.now();
  if (now >= look_at_memory_) {
    look_at_memory_ = now + kMemoryLookPause;
    short_of_memory_ =
        is_short_of_memory(text_of("/proc/pressure/memory"), text_of("/proc/meminfo"));
    changed_.notify_all();
    if (short_of_memory_) make_room(lock);
  }
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    Entry& entry = it->second;
    const bool idle = now - entry.arrivals.last() >= idle_max_;
    if (idle || (entry.zygote && spent(entry, now))) {
      retire(lock, it, idle ? Heir::kGoesToo : Heir::kTakesOver);
      return true;
    }
    if (shall_load(entry, now)) {
      load(lock, ZygoteKey(it->first));
      return true;
    }
    const size_t target = wanted(entry, now);
    const bool calm = now - entry.arrivals.last() >= kCalm;
    if (entry.waiting.size() > target && calm) {
      ZygoteChild spare = std::move(entry.waiting.back());
      entry.waiting.pop_back();
      lock.unlock();
      discard(std::move(spare));
      lock.lock();
      return true;
    }
    if (entry.zygote && entry.waiting.size() < target) {
      refill(lock, ZygoteKey(it->first));
      return true;
    }
    if (shall_load_successor(entry, now)) {
      load(lock, ZygoteKey(it->first));
      return true;
    }
  }
  return false;
}

void ZygotePool::load(std::unique_lock<std::mutex>& lock, const ZygoteKey& key) {
  if (loaded() >= kZygotesMax) make_room(lock);
  lock.unlock();
  auto zygote = Zygote::start(*host_, key, stop_.get());
  lock.lock();
  Entry& entry = entries_[key];
  if (zygote) {
    (entry.zygote ? entry.successor : entry.zygote) = *std::move(zygote);
    entry.awaited = false;
    entry.failure.clear();
  } else if (!stopping_) {
    fail(entry, key, "sandbox.zygote_failed", zygote.error().message);
    if (entry.zygote) entry.failure.clear();  // there is one yet
  }
  changed_.notify_all();
}

// Tries again later and later: what was killed comes back soon, what cannot be had costs little.
void ZygotePool::fail(Entry& entry, const ZygoteKey& key, std::string_view what, std::string why) {
  entry.failure = std::move(why);
  entry.retry_at = clock_.now() + entry.retry_pause;
  entry.retry_pause = std::min(entry.retry_pause * 2, kRetryPauseMax);
  log_event(LogLevel::kWarn, what, {{"preload", key.preload}, {"why", entry.failure}});
}

void ZygotePool::refill(std::unique_lock<std::mutex>& lock, const ZygoteKey& key) {
  const std::shared_ptr<Zygote> zygote = entries_[key].zygote;
  lock.unlock();
  const Instant began = clock_.now();
  auto child = zygote->fork();
  const Millis took = clock_.now() - began;
  lock.lock();
  Entry& entry = entries_[key];
  if (child) {
    entry.refill = Millis((entry.refill.count() * 7 + took.count()) / 8);
    entry.retry_pause = Entry().retry_pause;
    entry.waiting.push_back(*std::move(child));
  } else if (!zygote->alive()) {
    entry.retry_at = clock_.now() + kDeadPause;
    log_event(LogLevel::kWarn, "sandbox.zygote_ended", {{"preload", key.preload}});
    retire(lock, entries_.find(key), Heir::kTakesOver);
  } else if (child.error().code != ErrorCode::kResourceExhausted) {
    fail(entry, key, "sandbox.fork_failed", child.error().message);
    changed_.notify_all();
    retire(lock, entries_.find(key), Heir::kTakesOver);
  }
  changed_.notify_all();
}

// The children that wait go at once, the zygote with its last running child.
void ZygotePool::retire(std::unique_lock<std::mutex>& lock, Entries::iterator at, Heir successor) {
  Entry& entry = at->second;
  std::deque<ZygoteChild> waiting = std::exchange(entry.waiting, {});
  std::shared_ptr<Zygote> zygote = std::exchange(entry.zygote, nullptr);
  std::shared_ptr<Zygote> heir = std::exchange(entry.successor, nullptr);
  if (successor == Heir::kTakesOver) entry.zygote = std::exchange(heir, nullptr);
  if (!entry.zygote && clock_.now() - entry.arrivals.last() >= idle_max_) {
    entries_.erase(at);
    changed_.notify_all();
  }
  lock.unlock();
  for (ZygoteChild& child : waiting) discard(std::move(child));
  waiting.clear();
  zygote.reset();
  heir.reset();
  lock.lock();
}

// What has not been asked for the longest goes.
void ZygotePool::make_room(std::unique_lock<std::mutex>& lock) {
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (!it->second.zygote) continue;
    if (oldest == entries_.end() || it->second.arrivals.last() < oldest->second.arrivals.last()) {
      oldest = it;
    }
  }
  if (oldest != entries_.end()) retire(lock, oldest, Heir::kGoesToo);
}

}  // namespace bcai::sandbox
