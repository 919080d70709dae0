// SPDX-License-Identifier: Apache-2.0
#include "cli/follow.h"

#include "base/crypto.h"

namespace bcai::cli {
namespace {

// An error that may pass: the same request can succeed later.
bool may_pass(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded ||
         code == ErrorCode::kResourceExhausted;
}

constexpr Millis kBackoffFirst{200};
constexpr Millis kBackoffMax{5'000};

}  // namespace

LogLine read_log_line(const json::value& value) {
  const std::string stream = text_of(value, "stream");
  std::optional<std::string> bytes;
  if (member_of(value, "bytes") != nullptr) {
    if (Result<std::string> decoded = from_base64(text_of(value, "bytes")); decoded) {
      bytes = *std::move(decoded);
    }
  }
  return {.kind = stream == "stderr"   ? LogKind::kStderr
                  : stream == "system" ? LogKind::kSystem
                                       : LogKind::kStdout,
          .time = text_of(value, "time"),
          .text = text_of(value, "text"),
          .bytes = std::move(bytes),
          .attempt = text_of(value, "attempt_id")};
}

json::object log_event(const LogLine& line) {
  const std::string_view stream = line.kind == LogKind::kStdout   ? "stdout"
                                  : line.kind == LogKind::kStderr ? "stderr"
                                                                  : "system";
  json::object event{{"event", "log"},
                     {"stream", to_json(stream)},
                     {"time", line.time},
                     {"text", line.text},
                     {"attempt_id", line.attempt}};
  if (line.bytes) event["bytes"] = to_base64(*line.bytes);
  return event;
}

Result<bool> Follower::follow_once(ApiClient& api, const FollowEvents& events, JobView& job,
                                   bool& heard) {
  bool ended = false;
  const auto take = [&](const ServerEvent& event) {
    heard = true;
    const Result<json::value> data = parse_json(event.data);
    if (!data) return true;
    if (event.event == "log") {
      last_event_id_ = event.id;
      events.log(read_log_line(*data));
    } else if (event.event == "job" || event.event == "end") {
      JobView now = read_job(*data);
      const bool changed = now.version != job.version || now.state != job.state;
      job = std::move(now);
      if (changed) events.job(job);
      ended = event.event == "end";
    }
    return !ended;
  };
  BCAI_TRY(api.follow(options_.job, options_.attempt, last_event_id_, take));
  return ended;
}

Result<JobView> Follower::follow(const FollowEvents& events) {
  const int seen = interrupts_.count();
  // A client of its own: an interrupt spends it.
  BCAI_TRY_ASSIGN(ApiClient api, api_.another());
  interrupts_.on_interrupt(seen, [&api] { api.cancel(); });
  struct Unregister {
    Interrupts& interrupts;
    ~Unregister() { interrupts.on_interrupt(0, {}); }
  } unregister{interrupts_};

  JobView job;
  Millis backoff = kBackoffFirst;
  Millis silent{0};
  bool lost = false;
  for (;;) {
    bool heard = false;
    const Result<bool> ended = follow_once(api, events, job, heard);
    if (ended && *ended) return job;
    if (interrupts_.count() > seen) return error(ErrorCode::kCancelled, "interrupted");
    if (!ended && !may_pass(ended.error().code)) return ended.error();
    if (heard) {
      if (lost) events.note("connected again");
      lost = false;
      backoff = kBackoffFirst;
      silent = Millis(0);
    }
    if (silent >= options_.give_up_after) {
      return ended ? error(ErrorCode::kUnavailable, "the coordinator ends the log before the job")
                   : ended.error();
    }
    if (!ended && !lost && silent >= kBackoffFirst) {
      events.note(fmt::format("connection lost, trying again: {}", ended.error().message));
      lost = true;
    }
    if (interrupts_.sleep(backoff, seen)) return error(ErrorCode::kCancelled, "interrupted");
    silent += backoff;
    backoff = std::min(backoff * 2, kBackoffMax);
  }
}

}  // namespace bcai::cli
