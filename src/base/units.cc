// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>

namespace bcai {
namespace {

struct Unit {
  std::string_view name;
  double scale;
};

constexpr std::array kByteUnits{
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"kB", 1e3},
    Unit{"KB", 1e3},
    Unit{"MB", 1e6},
    Unit{"GB", 1e9},
    Unit{"TB", 1e12},
    Unit{"KiB", 1024.0},
    Unit{"MiB", 1048576},
    Unit{"GiB", 1073741824.0},
    Unit{"TiB", 1099511627776.0},
};

constexpr std::array kTimeUnits{
    Unit{"", 1e3},  Unit{"ms", 1},    Unit{"s", 1e3},
    Unit{"m", 6e4}, Unit{"h", 3.6e6}, Unit{"d", 8.64e7},
};

template <size_t N>
Result<int64_t> parse(std::string_view text, const std::array<Unit, N>& units,
                      std::string_view expected) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument, "expected {}, found '{}'", expected,
                 text.substr(0, 64));
  };
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || !std::isfinite(number) || number < 0) return wrong();
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    const double scaled = std::round(number * candidate.scale);
    if (scaled > 9e18) return wrong();
    return static_cast<int64_t>(scaled);
  }
  return wrong();
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) {
  return parse(text, kByteUnits, "bytes with a unit, such as 512MB, 8GB or 4GiB");
}

std::string format_bytes(int64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t name = 0;
  while (std::abs(value) >= 999.95 && name + 1 < kNames.size()) {
    value /= 1000;
    name += 1;
  }
  const bool whole = name == 0 || std::abs(value - std::round(value)) < 0.05;
  return whole ? fmt::format("{:.0f} {}", value, kNames[name])
               : fmt::format("{:.1f} {}", value, kNames[name]);
}

Result<Millis> parse_duration(std::string_view text) {
  BCAI_TRY_ASSIGN(const int64_t ms,
                  parse(text, kTimeUnits, "a duration, such as 90s, 15m, 2h or 1d"));
  return Millis(ms);
}

std::string format_duration(Millis duration) {
  const int64_t ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  const int64_t seconds = ms / 1000;
  if (seconds < 60) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  if (seconds < 3600) return fmt::format("{} m {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} m", seconds / 3600, seconds / 60 % 60);
}

}  // namespace bcai
