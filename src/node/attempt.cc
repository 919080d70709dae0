// SPDX-License-Identifier: Apache-2.0
#include "node/attempt.h"

#include <optional>
#include <vector>

#include "base/clip.h"
#include "base/log.h"
#include "base/units.h"
#include "node/outcome.h"
#include "node/task.h"

namespace bcai::node {
namespace {

// Pins what it fetched for as long as it lives.
class Inputs {
 public:
  explicit Inputs(InputCache& cache) : cache_(cache) {}
  ~Inputs() {
    for (const Sha256& digest : pinned_) cache_.unpin(digest);
  }
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  Result<void> fetch(const std::vector<InputFile>& files, const std::function<bool()>& given_up) {
    for (const InputFile& file : files) {
      Result<std::filesystem::path> path = cache_.pin(file.sha256, file.bytes, given_up);
      if (!path) {
        return error(path.error().code, "the input file {} could not be fetched: {}", file.path,
                     path.error().message);
      }
      pinned_.push_back(file.sha256);
      sources_.push_back(*std::move(path));
    }
    return {};
  }
  const std::vector<std::filesystem::path>& sources() const { return sources_; }

 private:
  InputCache& cache_;
  std::vector<Sha256> pinned_;
  std::vector<std::filesystem::path> sources_;
};

sandbox::Callbacks callbacks_of(Attempt& attempt, Progress& progress, const AttemptEvents& events) {
  return {
      .on_started = [&events] { events.on_state(AttemptState::kRunning); },
      .on_output =
          [&attempt](sandbox::Stream stream, std::string_view data) {
            const LogStream to =
                stream == sandbox::Stream::kStdout ? LogStream::kStdout : LogStream::kStderr;
            AttemptSpool& spool = attempt.shipment.spool();
            if (auto kept = spool.append_log(to, SystemClock().wall(), data); !kept) {
              log_event(LogLevel::kError, "node.log_lost",
                        {{"attempt", spool.lease().attempt.text()}, {"why", kept.error().message}});
            }
            attempt.shipment.note_log();
          },
      .on_message =
          [&progress, &events](std::string_view line) {
            if (apply_message(line, &progress)) events.on_progress(progress);
          },
  };
}

// By digest, so that a later process finds them from the result alone.
void keep_artifacts(const AttemptSpool& spool, const sandbox::Report& report) {
  for (const sandbox::Artifact& artifact : report.artifacts) {
    std::error_code ec;
    std::filesystem::rename(artifact.path, spool.artifacts() / artifact.sha256.text(), ec);
    if (ec) {
      log_event(LogLevel::kError, "node.artifact_lost",
                {{"path", artifact.path.string()}, {"why", ec.message()}});
    }
  }
}

void note(Attempt& attempt, std::string_view text) {
  (void)attempt.shipment.spool().append_log(LogStream::kSystem, SystemClock().wall(), text);
  attempt.shipment.note_log();
}

// Each step is a line of the log and the job's progress for as long as it takes.
Result<environment::Environment> make_environment(Attempt& attempt,
                                                  const PrepareEnvironment& prepare,
                                                  const AttemptEvents& events) {
  Progress progress;
  const auto tell = [&](std::string_view what) {
    progress.message = clip_utf8(what, 256);
    events.on_progress(progress);
    note(attempt, fmt::format("environment: {}\n", what));
  };
  events.on_state(AttemptState::kStaging);
  auto made = prepare(attempt.shipment.lease().spec, tell, attempt.cancellation);
  if (!made && made.error().code == ErrorCode::kInvalidArgument) {
    note(attempt, fmt::format("environment: {}\n", made.error().message));
  }
  if (!progress.message.empty()) events.on_progress({});
  return made;
}

// The task gets it, and may import what is in it.
void add_overlay(const std::filesystem::path& overlay, sandbox::Task* task) {
  if (overlay.empty()) return;
  task->overlay = overlay;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(overlay, failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string name = it->path().filename();
    std::string module = name.substr(0, name.find('.'));
    if (!module.empty() && module != "__pycache__" && name.find(".dist-info") == name.npos) {
      task->allowed_imports.push_back(std::move(module));
    }
  }
}

bool wants_environment(const JobSpec& spec) {
  return spec.program.empty() &&
         (!spec.requirements.empty() || spec.environment_lock || !spec.python_version.empty());
}

// As late as can be. None when the job names none.
Result<Secrets> take_secrets(Attempt& attempt, const Means& means) {
  const Lease& lease = attempt.shipment.lease();
  if (lease.spec.secrets.empty()) return Secrets();
  if (!means.fetch_secrets) {
    return error(ErrorCode::kFailedPrecondition, "this node has no way to a job's secrets");
  }
  return means.fetch_secrets(lease, [&] { return attempt.cancellation.cancelled(); });
}

// The user sees in the log itself that it is not whole.
void note_dropped_output(Attempt& attempt, int64_t bytes) {
  if (bytes == 0) return;
  const std::string kept = format_bytes(attempt.shipment.lease().spec.output_bytes_max);
  const std::string text = fmt::format(
      "{} bytes of output were dropped: the job's output_bytes_max is {}\n", bytes, kept);
  note(attempt, text);
}

// And what it tried that no job may.
void note_denied_calls(Attempt& attempt, const sandbox::Report& report) {
  if (!report.denied_calls) return;
  for (const auto& [call, count] : *report.denied_calls) {
    note(attempt, fmt::format("the system call {} was denied {} times\n", call, count));
  }
}

sandbox::Report run_task(sandbox::Task& task, Attempt& attempt, const Means& means,
                         const sandbox::Callbacks& callbacks, Connections* connections) {
  const Lease& lease = attempt.shipment.lease();
  std::shared_ptr<void> network;
  if (!lease.spec.network_allow.empty()) {
    auto opened = means.open_network
                      ? means.open_network(lease, &task, connections)
                      : Result<std::shared_ptr<void>>(error(ErrorCode::kFailedPrecondition,
                                                            "this node lets no job reach a host"));
    if (!opened) {
      sandbox::Report report;
      report.outcome = sandbox::Outcome::kNodeFailure;
      report.detail = opened.error().message;
      return report;
    }
    network = *std::move(opened);
  }
  return means.run(task, attempt.shipment.spool().artifacts(), callbacks, attempt.cancellation);
}

}  // namespace

AttemptResult run_attempt(Attempt& attempt, InputCache& cache, const Means& means,
                          const AttemptEvents& events) {
  const Lease& lease = attempt.shipment.lease();
  AttemptSpool& spool = attempt.shipment.spool();
  Inputs inputs(cache);
  Result<void> staged;
  if (!lease.spec.files.empty()) {
    events.on_state(AttemptState::kStaging);
    staged = inputs.fetch(lease.spec.files, [&] { return attempt.cancellation.cancelled(); });
  }
  std::optional<environment::Environment> environment;
  Result<void> prepared;
  if (staged && means.prepare && wants_environment(lease.spec)) {
    auto made = make_environment(attempt, means.prepare, events);
    if (made) {
      environment = *std::move(made);
    } else {
      prepared = std::move(made).error();
    }
  }
  Secrets secrets;
  if (staged && prepared) {
    Result<Secrets> taken = take_secrets(attempt, means);
    if (taken) {
      secrets = *std::move(taken);
    } else {
      prepared = std::move(taken).error();
    }
  }
  const bool refused = !prepared && prepared.error().code == ErrorCode::kInvalidArgument;
  AttemptFacts facts;
  facts.staging_ms = (SystemClock().now() - attempt.received).count();
  sandbox::Report report;
  Connections connections(secrets);
  bool ran = false;
  Progress progress;
  if (attempt.cancellation.cancelled()) {
    report.outcome = sandbox::Outcome::kCancelled;
  } else if (!staged || (!prepared && !refused)) {
    report.outcome = sandbox::Outcome::kNodeFailure;
    report.detail = (staged ? prepared : staged).error().message;
  } else if (!refused) {
    sandbox::Task task = make_task(lease, inputs.sources());
    if (environment) add_overlay(environment->overlay(), &task);
    task.secrets = std::move(secrets);
    report = run_task(task, attempt, means, callbacks_of(attempt, progress, events), &connections);
    wipe(&task.secrets);
    ran = true;
    keep_artifacts(spool, report);
    note_dropped_output(attempt, report.usage.output_bytes_dropped);
    note_denied_calls(attempt, report);
  }
  facts.ended = events.end_reason();
  facts.self_test = self_test_of(means.audit);
  (void)spool.flush_log();
  facts.log_bytes = spool.log_bytes();
  AttemptResult result = refused && report.outcome != sandbox::Outcome::kCancelled
                             ? make_environment_failure(prepared.error().message, facts)
                             : make_result(lease.spec, report, facts);
  if (environment) result.environment_lock = environment->lock();
  result.progress = std::move(progress);
  write_attempt_record(
      means.audit, {.lease = lease, .report = ran ? &report : nullptr, .connections = connections},
      &result);
  return result;
}

}  // namespace bcai::node
