// SPDX-License-Identifier: Apache-2.0
// Follows a job to its end over the log's event stream, and goes on where it stopped when the
// connection breaks: nothing is shown twice, nothing is left out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "cli/api_client.h"
#include "cli/interrupts.h"
#include "cli/job_view.h"
#include "cli/live_view.h"

namespace bcai::cli {

struct LogLine {
  LogKind kind = LogKind::kStdout;
  std::string time;
  std::string text;
  std::optional<std::string> bytes;  // what was written, where it differs from the text
  std::string attempt;
};

struct FollowEvents {
  std::function<void(const LogLine&)> log;
  std::function<void(const JobView&)> job;
  std::function<void(std::string_view)> note;  // connection lost, back
};

class Follower {
 public:
  // `give_up_after` without contact, follow() returns the last error.
  struct Options {
    std::string job;
    std::string attempt;
    Millis give_up_after{300'000};
  };
  Follower(ApiClient& api, Interrupts& interrupts, Options options)
      : api_(api), interrupts_(interrupts), options_(std::move(options)) {}

  // The job as it ended. kCancelled after an interrupt; calling again goes on.
  Result<JobView> follow(const FollowEvents& events);
  const std::string& job() const { return options_.job; }

 private:
  // One connection. True when the job's end was read.
  Result<bool> follow_once(ApiClient& api, const FollowEvents& events, JobView& job, bool& heard);

  ApiClient& api_;
  Interrupts& interrupts_;
  Options options_;
  std::string last_event_id_;
};

// A log record of the REST API.
LogLine read_log_line(const json::value& value);
// One as `--json` prints it.
json::object log_event(const LogLine& line);

}  // namespace bcai::cli
