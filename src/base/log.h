// SPDX-License-Identifier: Apache-2.0
// The log: an event's name, then its fields, to standard error. Names are stable and searchable:
//   log_event(LogLevel::kInfo, "job.leased", {{"job", id.text()}, {"ttl_ms", 30000}});
// Plain text on a terminal, JSON lines otherwise. Thread-safe. Secrets never go in.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace bcai {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string_view name;
  std::string value;
  bool quoted = true;

  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  LogField(std::string_view field, const std::string& text) : name(field), value(text) {}
  LogField(std::string_view field, const char* text) : name(field), value(text) {}
  template <std::integral T>
  LogField(std::string_view field, T number)
      : name(field), value(std::to_string(number)), quoted(false) {}
};

// Before the first event; later calls change level and format. The default is kInfo, text.
void configure_log(LogLevel level, LogFormat format);

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace bcai
