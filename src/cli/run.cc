// SPDX-License-Identifier: Apache-2.0
// `bcai run`: submits, follows, and ends as the job ends.
#include <poll.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/follow.h"
#include "cli/job_request.h"
#include "cli/outputs.h"
#include "sandbox/sandbox.h"

namespace bcai::cli {
namespace {

enum class Answer : unsigned char { kGoOn, kCancel, kDetach };

// Asks once. Another Ctrl-C is a yes.
Answer ask(const Context& context, bool may_detach) {
  const Screen& screen = context.screen;
  if (!screen.in_is_terminal || !screen.err_is_terminal) return Answer::kCancel;
  const int seen = context.interrupts.count();
  screen.err("\ncancel the job? [y/N{}] (Ctrl-C again cancels) ",
             may_detach ? "/d = leave it running" : "");
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  for (;;) {
    const int ready = poll(&input, 1, 100);
    if (context.interrupts.count() > seen) {
      screen.write_err("\n");
      return Answer::kCancel;
    }
    if (ready <= 0) continue;
    char line[256];
    const ssize_t got = read(STDIN_FILENO, line, sizeof line);
    if (got <= 0) return Answer::kCancel;
    if (line[0] == 'y' || line[0] == 'Y') return Answer::kCancel;
    if (may_detach && (line[0] == 'd' || line[0] == 'D')) return Answer::kDetach;
    return Answer::kGoOn;
  }
}

// One `bcai run` after its submission.
class Run {
 public:
  Run(ApiClient& api, Context& context, const RunOptions& options, bool local)
      : api_(api),
        context_(context),
        options_(options),
        local_(local),
        view_(context.screen, {.quiet = options.quiet || options.job.json}) {}

  int follow(const JobView& submitted);

 private:
  void print_json(json::object event) const { context_.screen.out("{}\n", to_text(event)); }
  FollowEvents events();
  // Returns the job as it ended, or kCancelled.
  Result<JobView> cancel_and_wait(Follower& follower);
  int finish(const JobView& job);
  void summarize(const JobView& job, const json::value& results) const;
  int leave(const std::string& id) const;

  ApiClient& api_;
  Context& context_;
  const RunOptions& options_;
  bool local_;
  LiveView view_;
};

FollowEvents Run::events() {
  FollowEvents events;
  if (options_.job.json) {
    events.log = [this](const LogLine& line) { print_json(log_event(line)); };
    events.job = [this](const JobView& job) { print_json({{"event", "job"}, {"job", job.raw}}); };
  } else {
    events.log = [this](const LogLine& line) { view_.output(line.kind, line.text, line.bytes); };
    events.job = [this](const JobView& job) { view_.job(job); };
  }
  events.note = [this](std::string_view text) { view_.note(text); };
  return events;
}

Result<JobView> Run::cancel_and_wait(Follower& follower) {
  view_.note("cancelling; every process of the job is ended first");
  BCAI_TRY_ASSIGN(ApiClient api, api_.another());
  const std::string id = follower.job();
  BCAI_TRY(api.cancel_job(id));
  return follower.follow(events());
}

int Run::leave(const std::string& id) const {
  if (!local_) {
    context_.screen.note(
        fmt::format("detached; the job goes on: bcai logs -f {0}, bcai cancel {0}", id));
  }
  return kExitInterrupted;
}

int Run::follow(const JobView& submitted) {
  Follower follower(api_, context_.interrupts, {.job = submitted.id, .attempt = {}});
  for (;;) {
    const Result<JobView> ended = follower.follow(events());
    view_.clear();
    if (ended) return finish(*ended);
    if (ended.error().code != ErrorCode::kCancelled) {
      const int code = report(context_.screen, ended.error());
      if (!local_) {
        context_.screen.note(fmt::format("the job may go on: bcai wait {}", submitted.id));
      }
      return code;
    }
    const Answer answer = ask(context_, !local_);
    if (answer == Answer::kGoOn) continue;
    if (answer == Answer::kDetach) return leave(submitted.id);
    const Result<JobView> cancelled = cancel_and_wait(follower);
    view_.clear();
    if (cancelled) {
      finish(*cancelled);
      return kExitInterrupted;
    }
    if (cancelled.error().code == ErrorCode::kCancelled) {
      view_.note("not waiting for the job's end");
    } else {
      report(context_.screen, cancelled.error());
    }
    return kExitInterrupted;
  }
}

void Run::summarize(const JobView& job, const json::value& results) const {
  const Screen& screen = context_.screen;
  std::string text = fmt::format("{} {}", job.id, job.state);
  const int64_t took =
      milliseconds_between(job.started_at.empty() ? job.created_at : job.started_at, job.ended_at);
  if (took >= 0) text += fmt::format(" after {}", format_duration(Millis(took)));
  if (!job.succeeded()) {
    const std::string& why = !job.error.empty()    ? job.error
                             : !job.detail.empty() ? job.detail
                                                   : job.reason;
    if (!why.empty() && why != job.state)
      text += ": " + shorten(why.substr(0, why.find('\n')), 200);
  }
  if (const json::value* usage = member_of(results, "usage"); usage != nullptr) {
    text += fmt::format(" (cpu {}, memory peak {})",
                        format_duration(Millis(integer_of(*usage, "cpu_ms"))),
                        format_bytes(integer_of(*usage, "memory_peak_bytes")));
  }
  const json::value* verification = member_of(job.raw, "verification");
  if (verification != nullptr && verification->is_object() && job.succeeded()) {
    text += ": " + shorten(text_of(*verification, "reason"), 300);
  }
  screen.err("{}\n",
             screen.styled_err(job.succeeded() ? Style::kGreen : Style::kRed, printable(text)));
}

int Run::finish(const JobView& job) {
  const Screen& screen = context_.screen;
  int code = exit_code(job);
  json::value results;
  if (Result<json::value> found = api_.results(job.id)) {
    results = *std::move(found);
  } else if (found.error().code != ErrorCode::kFailedPrecondition) {
    view_.note(found.error().message);
  }
  if (options_.job.json) {
    print_json({{"event", "result"}, {"results", results}});
  } else if (options_.show_outputs) {
    print_outputs(screen, results);
  }
  if (!options_.output_directory.empty()) {
    const Result<void> done = download_artifacts(api_, screen, results, options_.output_directory);
    const Result<void> written = done ? write_npy_files(results, options_.output_directory) : done;
    if (!written) {
      const int failed = report(screen, written.error());
      if (code == 0) code = failed;
    }
    if (!options_.job.json && !options_.show_outputs) print_left_out(screen, results);
  }
  if (!options_.job.json) {
    screen.out("{}", results_table(screen, results, options_.output_directory));
  }
  if (options_.job.json) {
    print_json({{"event", "end"}, {"job", job.raw}, {"exit_code", code}});
  } else if (!options_.quiet) {
    view_.finish_line();
    summarize(job, results);
  }
  return code;
}

// By its own level, or since something is built from source; what is wrong with a lock is said when
// it is submitted.
bool needs_high_level(const JobOptions& job) {
  if (job.security_level == "high" || !job.build_from_source.empty()) return true;
  const auto lock = read_environment_lock(job.environment_lock);
  return lock && *lock && (*lock)->is_object() && (*lock)->get_object().contains("sources");
}

Result<Connected> start_here(const RunOptions& options, Context& context) {
  const Settings& settings = context.settings;
  MachineOptions machine;
  machine.directory = std::filesystem::path(settings.value(SettingKey::kDataDirectory)) / "local";
  machine.python = settings.value(SettingKey::kPython);
  machine.high_level = needs_high_level(options.job);
  // Who names the hosts is the operator.
  machine.network = options.job.allow_hosts;
  if (machine.high_level) {
    const sandbox::Host host = sandbox::inspect_host("runc");
    if (!host.high_lacking.empty()) {
      return error(ErrorCode::kFailedPrecondition, "no high security level on this machine: {}",
                   host.high_lacking);
    }
  }
  // Secrets are kept in one place, which one run has at a time.
  const bool with_secrets = !options.job.secrets.empty();
  if (with_secrets) machine.directory /= kLocalRecord;
  BCAI_TRY_ASSIGN(std::unique_ptr<OneMachine> here,
                  with_secrets ? OneMachine::start(machine) : start_local(machine));
  if (!options.quiet && !options.job.json) {
    context.screen.note(
        fmt::format("no network configured: running in a sandbox on this machine "
                    "(state in {})",
                    machine.directory.string()));
    const std::string hint = torch_hint(here->node()->status().capabilities, machine.python);
    if (!hint.empty()) context.screen.note(hint);
  }
  net::ClientOptions client;
  client.endpoint = here->endpoint();
  client.bearer_token = here->key();
  BCAI_TRY_ASSIGN(ApiClient api, ApiClient::make(client));
  return Connected{std::move(api), std::move(here)};
}

}  // namespace

int execute(const RunOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Program> program = read_program(options.job);
  if (!program) return report(screen, program.error());
  apply(options.job.connection, context.settings);
  context.settings.override_with_flag(SettingKey::kPython, options.python, "--python");
  context.settings.override_with_flag(SettingKey::kDataDirectory, options.data_directory,
                                      "--data-dir");
  const bool local = options.local || context.settings.value(SettingKey::kEndpoint).empty();
  if (local && options.detach) {
    screen.error(
        "--detach needs a coordinator that stays: start `bcai up`, or name one with "
        "--endpoint");
    return kExitUsage;
  }
  const int seen = context.interrupts.count();
  Result<Connected> connected =
      local ? start_here(options, context) : connect(options.job.connection, context);
  if (!connected) return report(screen, connected.error());
  if (context.interrupts.count() > seen) return kExitInterrupted;

  const Submission submission = submit_job(connected->api, context, options.job, *program);
  if (submission.exit_code == kExitUnreachable && !options.job.json) {
    screen.note("`bcai up` starts a network on this machine; `bcai run --local` needs none");
  }
  if (submission.exit_code != 0) return submission.exit_code;
  if (options.detach) {
    screen.out("{}\n", options.job.json ? to_text(submission.job.raw) : submission.job.id);
    return 0;
  }
  return Run(connected->api, context, options, local).follow(submission.job);
}

}  // namespace bcai::cli
