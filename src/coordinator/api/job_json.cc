// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/job_json.h"

namespace bcai::coordinator {
namespace {

json::value time_or_null(const std::optional<WallTime>& time) {
  return time ? json::value(format_time(*time)) : json::value(nullptr);
}

json::value short_result(store::Connection& db, const JobRecord& job) {
  if (!is_terminal(job.state)) return nullptr;
  const Result<AttemptResult> found = find_result(db, job.id);
  if (!found) return nullptr;
  json::object full = encode(*found).as_object();
  return json::object{{"outcome", full["outcome"]},
                      {"exit_code", full["exit_code"]},
                      {"detail", full["detail"]},
                      {"error", full["error"]}};
}

// The length of the character at `at`, 0 when there is none, -1 when the text ends inside it.
int character_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const int length = lead >= 0xC2 && lead < 0xE0   ? 2
                     : lead >> 4 == 14             ? 3
                     : lead >= 0xF0 && lead < 0xF5 ? 4
                                                   : 0;
  for (int i = 1; i < length; ++i) {
    const size_t next = at + static_cast<size_t>(i);
    if (next >= text.size()) return -1;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (byte(next) < low || byte(next) > high) return 0;
  }
  return length;
}

std::string take_utf8(std::string& pending, std::string_view text) {
  std::string joined = std::move(pending);
  pending.clear();
  joined += text;
  std::string out;
  out.reserve(joined.size());
  for (size_t at = 0; at < joined.size();) {
    const int length = character_length(joined, at);
    if (length < 0) {
      pending = joined.substr(at);
      return out;
    }
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    out.append(joined, at, static_cast<size_t>(length));
    at += static_cast<size_t>(length);
  }
  return out;
}

}  // namespace

json::object job_json(store::Connection& db, const JobRecord& job) {
  json::array attempts;
  for (const AttemptRecord& attempt : job.attempts) {
    attempts.push_back(json::object{{"id", attempt.id.text()},
                                    {"node_id", attempt.node.text()},
                                    {"node_name", attempt.node_name},
                                    {"epoch", attempt.epoch},
                                    {"replica", attempt.replica},
                                    {"state", to_json(name(attempt.state))},
                                    {"reason", attempt.reason},
                                    {"created_at", format_time(attempt.created_at)},
                                    {"started_at", time_or_null(attempt.started_at)},
                                    {"ended_at", time_or_null(attempt.ended_at)}});
  }
  return json::object{
      {"id", job.id.text()},
      {"name", job.spec.name},
      {"state", to_json(name(job.state))},
      {"desired", to_json(name(job.desired))},
      {"reason_code", job.reason_code},
      {"reason", job.reason},
      {"version", job.version},
      {"owner", job.owner.text()},
      {"created_at", format_time(job.created_at)},
      {"started_at", time_or_null(job.started_at)},
      {"ended_at", time_or_null(job.ended_at)},
      {"progress", encode(job.attempts.empty() ? Progress{} : job.attempts.back().progress)},
      {"attempts", std::move(attempts)},
      {"result", short_result(db, job)},
      {"quote", job.quote},
      {"verification", job.verification},
      {"spec", encode(job.spec, false)}};
}

json::object node_json(const NodeRecord& node) {
  return json::object{{"id", node.id.text()},
                      {"name", node.name},
                      {"state", node.state},
                      {"registered_at", format_time(node.registered_at)},
                      {"last_seen", format_time(node.last_seen)},
                      {"running", node.running},
                      {"free", encode(node.free)},
                      {"capabilities", encode(node.capabilities)}};
}

json::object event_json(const EventRecord& event) {
  return json::object{{"sequence", event.sequence},
                      {"time", format_time(event.time)},
                      {"kind", event.kind},
                      {"actor", event.actor},
                      {"reason", event.reason}};
}

json::object results_json(const JobRecord& job, AttemptId attempt, const AttemptResult& result) {
  json::object out{{"job_id", job.id.text()},
                   {"state", to_json(name(job.state))},
                   {"attempt_id", attempt.text()}};
  json::value encoded = encode(result);
  for (auto& member : encoded.as_object()) out[member.key()] = std::move(member.value());
  out["quote"] = job.quote;
  out["verification"] = job.verification;
  return out;
}

void add_log_record(json::object& out, const LogRecord& record, std::string& pending) {
  const std::string text = take_utf8(pending, record.text);
  out["stream"] = to_json(name(record.stream));
  out["time"] = format_time(record.time);
  out["text"] = text;
  if (text != record.text) out["bytes"] = to_base64(record.text);
}

}  // namespace bcai::coordinator
