// SPDX-License-Identifier: Apache-2.0
#include "node/attempt.h"

#include <vector>

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

// The user sees in the log itself that it is not whole.
void note_dropped_output(Attempt& attempt, int64_t bytes) {
  if (bytes == 0) return;
  const std::string kept = format_bytes(attempt.shipment.lease().spec.output_bytes_max);
  const std::string note = fmt::format(
      "{} bytes of output were dropped: the job's output_bytes_max is {}\n", bytes, kept);
  (void)attempt.shipment.spool().append_log(LogStream::kSystem, SystemClock().wall(), note);
  attempt.shipment.note_log();
}

}  // namespace

AttemptResult run_attempt(Attempt& attempt, InputCache& cache, const RunInSandbox& run,
                          const AttemptEvents& events) {
  const Lease& lease = attempt.shipment.lease();
  AttemptSpool& spool = attempt.shipment.spool();
  Inputs inputs(cache);
  Result<void> staged;
  if (!lease.spec.files.empty()) {
    events.on_state(AttemptState::kStaging);
    staged = inputs.fetch(lease.spec.files, [&] { return attempt.cancellation.cancelled(); });
  }
  AttemptFacts facts;
  facts.staging_ms = (SystemClock().now() - attempt.received).count();
  sandbox::Report report;
  Progress progress;
  if (attempt.cancellation.cancelled()) {
    report.outcome = sandbox::Outcome::kCancelled;
  } else if (!staged) {
    report.outcome = sandbox::Outcome::kNodeFailure;
    report.detail = staged.error().message;
  } else {
    report = run(make_task(lease, inputs.sources()), spool.artifacts(),
                 callbacks_of(attempt, progress, events), attempt.cancellation);
    keep_artifacts(spool, report);
    note_dropped_output(attempt, report.usage.output_bytes_dropped);
  }
  facts.ended = events.end_reason();
  (void)spool.flush_log();
  facts.log_bytes = spool.log_bytes();
  AttemptResult result = make_result(lease.spec, report, facts);
  result.progress = std::move(progress);
  return result;
}

}  // namespace bcai::node
