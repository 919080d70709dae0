// SPDX-License-Identifier: Apache-2.0
// What the coordinator says of a job, read leniently: a member that is absent or of another type
// keeps its default, so that an older program can talk to a newer coordinator.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace bcai::cli {

struct AttemptView {
  std::string id;
  std::string node_id;
  std::string node_name;
  int64_t epoch = 0;
  std::string state;
  std::string reason;
  std::string created_at;
  std::string started_at;
  std::string ended_at;
};

struct JobView {
  std::string id;
  std::string name;
  std::string state;
  std::string desired;
  std::string reason;
  std::string owner;
  std::string created_at;
  std::string started_at;
  std::string ended_at;
  int64_t version = 0;
  double fraction = -1;  // -1 is unknown
  std::string message;
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<AttemptView> attempts;
  std::string outcome;  // "" while there is no result
  int64_t exit_code = 0;
  std::string detail;
  std::string error;  // "ValueError: …", as the job says
  json::value raw;    // all that was sent

  bool terminal() const;
  bool succeeded() const { return state == "succeeded"; }
};

JobView read_job(const json::value& value);

// 0 when it succeeded, else 1. Of a job that has ended.
int exit_code(const JobView& job);

// Lenient access to members.
std::string text_of(const json::value& value, std::string_view key);
int64_t integer_of(const json::value& value, std::string_view key, int64_t otherwise = 0);
const json::value* member_of(const json::value& value, std::string_view key);
const json::array* array_of(const json::value& value, std::string_view key);

// As JSON, but numbers as people write them: 0.0025, not 2.5E-3.
std::string display_text(const json::value& value);

// Milliseconds between two RFC 3339 times as the coordinator writes them; -1 when one is none.
int64_t milliseconds_between(std::string_view from, std::string_view to);
// Milliseconds since 1970, -1 when the text is no such time.
int64_t parse_time_ms(std::string_view text);

}  // namespace bcai::cli
