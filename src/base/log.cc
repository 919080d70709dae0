// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/clock.h"
#include "base/json.h"

namespace bcai {
namespace {

std::atomic<LogFormat> g_format{LogFormat::kText};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made =
        std::make_shared<spdlog::logger>("bcai", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::off;
}

std::string_view level_name(LogLevel level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};
  return kNames[static_cast<size_t>(level)];
}

std::string now_text() { return format_time(SystemClock().wall()); }

}  // namespace

void configure_log(LogLevel level, LogFormat format) {
  g_format = format;
  logger().set_level(to_spdlog(level));
}

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  std::string line;
  if (g_format == LogFormat::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","event":{})", now_text(), level_name(level),
                       json::serialize(to_json(event)));
    for (const LogField& field : fields) {
      line += fmt::format(",{}:{}", json::serialize(to_json(field.name)),
                          field.quoted ? json::serialize(to_json(field.value)) : field.value);
    }
    line += '}';
  } else {
    line = fmt::format("{} {:5} {}", now_text(), level_name(level), event);
    for (const LogField& field : fields) {
      // Quoted as JSON where it must be, so that text from outside cannot forge a line.
      const bool plain = !field.value.empty() &&
                         field.value.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:"
                             ",@+") == std::string::npos;
      line += fmt::format(" {}={}", field.name,
                          plain ? field.value : json::serialize(to_json(field.value)));
    }
  }
  logger().log(to_spdlog(level), line);
}

}  // namespace bcai
