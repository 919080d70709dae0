// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <fmt/core.h>

#include <ctime>

namespace bcai {
namespace {

int64_t read_ms(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return int64_t{at.tv_sec} * 1000 + at.tv_nsec / 1'000'000;
}

}  // namespace

std::string format_time(WallTime at) {
  int64_t seconds = at.ms / 1000;
  int64_t ms = at.ms % 1000;
  if (ms < 0) {
    seconds -= 1;
    ms += 1000;
  }
  const time_t seconds_c = seconds;
  tm parts{};
  gmtime_r(&seconds_c, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ms);
}

Instant SystemClock::now() const { return {read_ms(CLOCK_BOOTTIME)}; }
WallTime SystemClock::wall() const { return {read_ms(CLOCK_REALTIME)}; }

}  // namespace bcai
