// SPDX-License-Identifier: Apache-2.0
#include "cli/job_view.h"

#include <charconv>
#include <chrono>

#include "protocol/state.h"

namespace bcai::cli {
namespace {

double number_of(const json::value& value, std::string_view key, double otherwise) {
  const json::value* found = member_of(value, key);
  if (found == nullptr || !found->is_number()) return otherwise;
  return found->is_double() ? found->get_double() : static_cast<double>(integer_of(value, key));
}

AttemptView read_attempt(const json::value& value) {
  return {.id = text_of(value, "id"),
          .node_id = text_of(value, "node_id"),
          .node_name = text_of(value, "node_name"),
          .epoch = integer_of(value, "epoch"),
          .state = text_of(value, "state"),
          .reason = text_of(value, "reason"),
          .created_at = text_of(value, "created_at"),
          .started_at = text_of(value, "started_at"),
          .ended_at = text_of(value, "ended_at")};
}

}  // namespace

const json::value* member_of(const json::value& value, std::string_view key) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(to_json(key));
}

const json::array* array_of(const json::value& value, std::string_view key) {
  const json::value* found = member_of(value, key);
  return found == nullptr ? nullptr : found->if_array();
}

std::string text_of(const json::value& value, std::string_view key) {
  const json::value* found = member_of(value, key);
  return found != nullptr && found->is_string() ? std::string(to_std(found->get_string())) : "";
}

int64_t integer_of(const json::value& value, std::string_view key, int64_t otherwise) {
  const json::value* found = member_of(value, key);
  if (found == nullptr) return otherwise;
  if (const int64_t* number = found->if_int64()) return *number;
  return otherwise;
}

std::string display_text(const json::value& value) {
  if (value.is_double()) return fmt::format("{}", value.get_double());
  std::string out;
  if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) {
      out += (out.empty() ? "" : ", ") + display_text(element);
    }
    return "[" + out + "]";
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& [name, member] : *object) {
      out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", to_text(json::value(name)),
                         display_text(member));
    }
    return "{" + out + "}";
  }
  return to_text(value);
}

bool JobView::terminal() const {
  const Result<JobState> parsed = parse_job_state(state);
  return parsed && is_terminal(*parsed);
}

JobView read_job(const json::value& value) {
  JobView job{.id = text_of(value, "id"),
              .name = text_of(value, "name"),
              .state = text_of(value, "state"),
              .desired = text_of(value, "desired"),
              .reason = text_of(value, "reason"),
              .owner = text_of(value, "owner"),
              .created_at = text_of(value, "created_at"),
              .started_at = text_of(value, "started_at"),
              .ended_at = text_of(value, "ended_at"),
              .version = integer_of(value, "version"),
              .message = {},
              .metrics = {},
              .attempts = {},
              .outcome = {},
              .detail = {},
              .error = {},
              .raw = value};
  if (const json::value* progress = member_of(value, "progress")) {
    job.fraction = number_of(*progress, "fraction", -1);
    job.message = text_of(*progress, "message");
    const json::value* metrics = member_of(*progress, "metrics");
    if (metrics != nullptr && metrics->is_object()) {
      for (const auto& [name, metric] : metrics->get_object()) {
        job.metrics.emplace_back(to_std(name), number_of(*metrics, to_std(name), 0));
      }
    }
  }
  if (const json::array* attempts = array_of(value, "attempts")) {
    for (const json::value& attempt : *attempts) job.attempts.push_back(read_attempt(attempt));
  }
  if (const json::value* result = member_of(value, "result")) {
    job.outcome = text_of(*result, "outcome");
    job.exit_code = integer_of(*result, "exit_code");
    job.detail = text_of(*result, "detail");
    if (const json::value* error = member_of(*result, "error"); error != nullptr) {
      job.error = text_of(*error, "type");
      if (const std::string message = text_of(*error, "message"); !message.empty()) {
        job.error += ": " + message;
      }
    }
  }
  return job;
}

int exit_code(const JobView& job) { return job.succeeded() ? 0 : 1; }

int64_t parse_time_ms(std::string_view text) {
  // "2026-01-31T09:05:07.123Z"
  if (text.size() != 24 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text[19] != '.' || text[23] != 'Z') {
    return -1;
  }
  bool right = true;
  const auto number = [&](size_t at, size_t length) {
    int value = 0;
    const char* end = text.data() + at + length;
    const auto [stop, code] = std::from_chars(text.data() + at, end, value);
    right = right && code == std::errc() && stop == end && value >= 0;
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hours = number(11, 2);
  const int minutes = number(14, 2);
  const int seconds = number(17, 2);
  const int milliseconds = number(20, 3);
  if (!right || !date.ok()) return -1;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((int64_t{days} * 24 + hours) * 60 + minutes) * 60'000 + seconds * int64_t{1000} +
         milliseconds;
}

int64_t milliseconds_between(std::string_view from, std::string_view to) {
  const int64_t begin = parse_time_ms(from);
  const int64_t end = parse_time_ms(to);
  return begin < 0 || end < 0 || end < begin ? -1 : end - begin;
}

}  // namespace bcai::cli
