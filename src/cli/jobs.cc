// SPDX-License-Identifier: Apache-2.0
// `bcai jobs` and `bcai nodes`: lists.
#include <algorithm>

#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

constexpr int kPageMax = 1000;

Style style_of_state(std::string_view state) {
  if (state == "succeeded" || state == "online") return Style::kGreen;
  if (state == "failed" || state == "lost" || state == "offline") return Style::kRed;
  if (state == "active" || state == "verifying") return Style::kCyan;
  if (state == "cancelled" || state == "expired" || state == "held" || state == "silent") {
    return Style::kYellow;
  }
  return Style::kPlain;
}

std::string ago(std::string_view time, WallTime now) {
  const int64_t then = parse_time_ms(time);
  if (then < 0) return "-";
  const int64_t seconds = std::max<int64_t>(0, now.ms - then) / 1000;
  return seconds < 60 ? fmt::format("{} s", seconds) : format_duration(Millis(seconds * 1000));
}

std::string took(const JobView& job, WallTime now) {
  const int64_t begin = parse_time_ms(job.started_at);
  if (begin < 0) return "-";
  const int64_t end = job.terminal() ? parse_time_ms(job.ended_at) : now.ms;
  return end < begin ? "-" : format_duration(Millis(end - begin));
}

Result<std::vector<JobView>> list_jobs(ApiClient& api, const JobsOptions& options) {
  std::vector<JobView> jobs;
  JobQuery query{.state = options.state, .name = options.name, .limit = 0, .before = {}};
  do {
    query.limit = std::min(options.limit - static_cast<int>(jobs.size()), kPageMax);
    BCAI_TRY_ASSIGN(std::vector<JobView> page, api.jobs(query, &query.before));
    std::move(page.begin(), page.end(), std::back_inserter(jobs));
  } while (!query.before.empty() && static_cast<int>(jobs.size()) < options.limit);
  return jobs;
}

std::string gpus_text(const json::value& capabilities) {
  const json::array* gpus = array_of(capabilities, "gpus");
  if (gpus == nullptr || gpus->empty()) return "-";
  return fmt::format("{} × {} ({})", gpus->size(), text_of(gpus->front(), "model"),
                     format_bytes(integer_of(gpus->front(), "memory_bytes")));
}

}  // namespace

int execute(const JobsOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const Result<std::vector<JobView>> jobs = list_jobs(connected->api, options);
  if (!jobs) return report(screen, jobs.error());
  if (options.json) {
    json::array list;
    for (const JobView& job : *jobs) list.push_back(job.raw);
    screen.out("{}\n", to_text(json::object{{"jobs", std::move(list)}}));
    return 0;
  }
  if (jobs->empty()) {
    screen.note("no jobs");
    return 0;
  }
  const WallTime now = context.clock.wall();
  Table table({"ID", "NAME", "STATE", "AGE", "TOOK", "REASON"});
  for (const JobView& job : *jobs) {
    table.add({{job.id},
               {shorten(job.name, 30)},
               {job.state, style_of_state(job.state)},
               {ago(job.created_at, now)},
               {took(job, now)},
               {job.reason, Style::kDim}});
  }
  screen.write_out(table.text(screen));
  return 0;
}

int execute(const NodesOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const Result<json::value> answer = connected->api.nodes();
  if (!answer) return report(screen, answer.error());
  static const json::array kNone;
  const json::array* found = array_of(*answer, "nodes");
  const json::array& nodes = found == nullptr ? kNone : *found;
  if (options.json) {
    screen.out("{}\n", to_text(*answer));
    return 0;
  }
  if (nodes.empty()) {
    screen.note("no nodes; `bcai node deploy --config FILE` on a machine makes it one");
    return 0;
  }
  Table table({"ID", "NAME", "STATE", "RUNNING", "SEEN", "CORES", "MEMORY", "GPUS"});
  static const json::value kNothing;
  for (const json::value& node : nodes) {
    const json::value* member = member_of(node, "capabilities");
    const json::value& capabilities = member == nullptr ? kNothing : *member;
    const std::string state = text_of(node, "state");
    table.add(
        {{text_of(node, "id")},
         {shorten(text_of(node, "name"), 30)},
         {state, style_of_state(state)},
         {fmt::format("{} of {}", integer_of(node, "running"), integer_of(capabilities, "slots"))},
         {ago(text_of(node, "last_seen"), context.clock.wall()) + " ago"},
         {fmt::format("{:.3g}",
                      static_cast<double>(integer_of(capabilities, "cpu_millicores")) / 1000)},
         {format_bytes(integer_of(capabilities, "memory_bytes"))},
         {gpus_text(capabilities)}});
  }
  screen.write_out(table.text(screen));
  return 0;
}

}  // namespace bcai::cli
