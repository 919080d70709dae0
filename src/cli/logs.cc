// SPDX-License-Identifier: Apache-2.0
// `bcai logs` and `bcai wait`: reading along with a job. Ctrl-C only detaches.
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/follow.h"

namespace bcai::cli {
namespace {

// What is there now.
Result<void> print_log(ApiClient& api, const LogsOptions& options, const std::string& id,
                       const std::function<void(const LogLine&)>& print) {
  std::string attempt = options.attempt;
  int64_t offset = 0;
  for (;;) {
    BCAI_TRY_ASSIGN(const ApiClient::LogPage page, api.logs(id, attempt, offset));
    for (const json::value& record : page.records) {
      LogLine line = read_log_line(record);
      line.attempt = page.attempt;
      print(line);
    }
    if (page.records.empty() || page.next_offset <= offset) return {};
    attempt = page.attempt;
    offset = page.next_offset;
  }
}

int detached(const Screen& screen, const std::string& id) {
  screen.note(fmt::format("detached; the job goes on: bcai logs -f {0}, bcai cancel {0}", id));
  return kExitInterrupted;
}

}  // namespace

int execute(const LogsOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const Result<std::string> id = resolve_job(connected->api, options.job);
  if (!id) return report(screen, id.error());
  LiveView view(screen, {.quiet = options.json});
  const auto print = [&](const LogLine& line) {
    if (options.json) {
      screen.out("{}\n", to_text(log_event(line)));
    } else {
      view.output(line.kind, line.text, line.bytes);
    }
  };
  if (!options.follow) {
    const Result<void> printed = print_log(connected->api, options, *id, print);
    return printed ? 0 : report(screen, printed.error());
  }
  const Result<JobView> there = connected->api.job(*id);
  if (!there) return report(screen, there.error());
  Follower follower(connected->api, context.interrupts, {.job = *id, .attempt = options.attempt});
  FollowEvents events;
  events.log = print;
  events.job = [&](const JobView& job) { view.job(job); };
  events.note = [&](std::string_view text) { view.note(text); };
  const Result<JobView> ended = follower.follow(events);
  view.clear();
  if (ended) return 0;
  if (ended.error().code == ErrorCode::kCancelled) return detached(screen, *id);
  return report(screen, ended.error());
}

int execute(const WaitOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const int seen = context.interrupts.count();
  ApiClient& api = connected->api;
  context.interrupts.on_interrupt(seen, [&api] { api.cancel(); });
  const Instant begin = context.clock.now();
  const auto finish = [&](int code) {
    context.interrupts.on_interrupt(0, {});
    return code;
  };
  const Result<std::string> id = resolve_job(api, options.job);
  if (!id) return finish(report(screen, id.error()));
  Millis outage{0};
  for (;;) {
    Millis slice{60'000};
    if (options.timeout.count() > 0) {
      slice = std::min(slice, options.timeout - (context.clock.now() - begin));
      if (slice.count() <= 0) {
        screen.error(fmt::format("{} has not ended yet; it goes on", *id));
        return finish(kExitUnreachable);
      }
    }
    const Result<JobView> job = api.wait(*id, -1, slice);
    if (context.interrupts.count() > seen) return finish(detached(screen, *id));
    if (job && job->terminal()) {
      if (options.json) {
        screen.out("{}\n", to_text(job->raw));
      } else {
        screen.note(printable_lines(fmt::format("{} {}{}{}", job->id, job->state,
                                                job->reason.empty() ? "" : ": ", job->reason),
                                    2));
      }
      return finish(exit_code(*job));
    }
    if (job) {
      outage = Millis(0);
      continue;
    }
    // The first failure is a wrong endpoint or id; later ones may pass.
    const bool passing =
        job.error().code == ErrorCode::kUnavailable && context.clock.now().ms > begin.ms + 1000;
    if (!passing || outage > Millis(300'000)) return finish(report(screen, job.error()));
    context.interrupts.sleep(Millis(1000), seen);
    outage += Millis(1000);
  }
}

}  // namespace bcai::cli
