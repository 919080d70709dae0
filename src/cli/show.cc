// SPDX-License-Identifier: Apache-2.0
// `bcai show`: one job, its attempts, everything that happened to it.
#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/live_view.h"
#include "cli/outputs.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

constexpr int kLabelColumns = 11;

// "09:05:07.123" of the RFC 3339 text, which is in UTC.
std::string time_of_day(const std::string& time) {
  return parse_time_ms(time) < 0 ? "-" : time.substr(11, 12);
}

void print_facts(const Screen& screen, const JobView& job) {
  const auto line = [&](std::string_view label, const std::string& text,
                        Style style = Style::kPlain) {
    if (text.empty()) return;
    screen.out("{} {}\n",
               screen.styled_out(Style::kBold, fmt::format("{:<{}}", label, kLabelColumns - 1)),
               screen.styled_out(style, printable_lines(text, kLabelColumns)));
  };
  line("id", job.id);
  line("name", job.name);
  line("state",
       job.desired == "cancel" && !job.terminal() ? job.state + " (cancelling)" : job.state,
       job.succeeded()  ? Style::kGreen
       : job.terminal() ? Style::kRed
                        : Style::kCyan);
  line("reason", job.reason);
  line("detail", job.detail == job.reason ? "" : job.detail);
  line("error", job.error);
  line("created", job.created_at);
  line("started", job.started_at);
  line("ended", job.ended_at);
  const int64_t took = milliseconds_between(job.started_at, job.ended_at);
  if (took >= 0) line("took", format_duration(Millis(took)));
  if (!job.terminal() && (job.fraction >= 0 || !job.message.empty() || !job.metrics.empty())) {
    line("progress", status_line(job, screen.width));
  }
  if (!job.outcome.empty()) {
    line("outcome", fmt::format("{}, exit code {}", job.outcome, job.exit_code));
  }
  if (const json::value* quote = member_of(job.raw, "quote"); quote && quote->is_object()) {
    line("program", text_of(*quote, "program"));
    line("quote", fmt::format("gas {}, {} FLOPs, {} moved, weights {}, memory at least {}",
                              integer_of(*quote, "gas"), integer_of(*quote, "flops"),
                              format_bytes(integer_of(*quote, "bytes")),
                              format_bytes(integer_of(*quote, "weight_bytes")),
                              format_bytes(integer_of(*quote, "memory_bytes"))));
  }
}

}  // namespace

int execute(const ShowOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const Result<std::string> id = resolve_job(connected->api, options.job);
  if (!id) return report(screen, id.error());
  const Result<JobView> job = connected->api.job(*id);
  if (!job) return report(screen, job.error());
  const Result<json::value> events = connected->api.events(*id);
  if (!events) return report(screen, events.error());
  const json::array* list = array_of(*events, "events");
  if (options.json) {
    json::value whole = job->raw;
    if (json::object* object = whole.if_object()) {
      (*object)["events"] = list == nullptr ? json::array() : *list;
    }
    screen.out("{}\n", to_text(whole));
    return 0;
  }
  print_facts(screen, *job);
  print_verification(screen, job->raw);
  if (!job->attempts.empty()) {
    Table table({"ATTEMPT", "NODE", "STATE", "STARTED", "TOOK", "REASON"});
    for (const AttemptView& attempt : job->attempts) {
      const int64_t took = milliseconds_between(attempt.started_at, attempt.ended_at);
      table.add({{attempt.id},
                 {attempt.node_name.empty() ? attempt.node_id : attempt.node_name},
                 {attempt.state},
                 {time_of_day(attempt.started_at)},
                 {took < 0 ? "-" : format_duration(Millis(took))},
                 {attempt.reason, Style::kDim}});
    }
    screen.out("\n{}", table.text(screen));
  }
  if (list != nullptr && !list->empty()) {
    Table table({"TIME (UTC)", "EVENT", "BY", "REASON"});
    for (const json::value& event : *list) {
      table.add({{time_of_day(text_of(event, "time"))},
                 {text_of(event, "kind")},
                 {text_of(event, "actor")},
                 {text_of(event, "reason"), Style::kDim}});
    }
    screen.out("\n{}", table.text(screen));
  }
  return 0;
}

}  // namespace bcai::cli
