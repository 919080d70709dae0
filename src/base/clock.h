// SPDX-License-Identifier: Apache-2.0
// Time. Instant is monotonic and counts suspended time (CLOCK_BOOTTIME): waits and deadlines
// inside one process. WallTime is the calendar (CLOCK_REALTIME): what is stored and shown. The two
// do not convert. Things that wait take a Clock&; everything pure takes `now` as an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bcai {

using Millis = std::chrono::milliseconds;

struct Instant {
  int64_t ms = 0;
  auto operator<=>(const Instant&) const = default;
};
inline Instant operator+(Instant at, Millis by) { return {at.ms + by.count()}; }
inline Millis operator-(Instant a, Instant b) { return Millis(a.ms - b.ms); }

struct WallTime {
  int64_t ms = 0;  // since 1970-01-01T00:00:00Z
  auto operator<=>(const WallTime&) const = default;
};
inline WallTime operator+(WallTime at, Millis by) { return {at.ms + by.count()}; }
inline Millis operator-(WallTime a, WallTime b) { return Millis(a.ms - b.ms); }

// RFC 3339 with milliseconds, in UTC: "2026-01-31T09:05:07.123Z".
std::string format_time(WallTime at);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;
};

// Thread-safe.
class SystemClock final : public Clock {
 public:
  Instant now() const override;
  WallTime wall() const override;
};

// Stands still until told. For tests and the simulation; one thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start = {1'700'000'000'000}) : wall_(start) {}
  Instant now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Millis by) {
    now_ = now_ + by;
    wall_ = wall_ + by;
  }

 private:
  Instant now_;
  WallTime wall_;
};

}  // namespace bcai
