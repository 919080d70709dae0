// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/referee.h"

#include <sys/eventfd.h>

#include <cerrno>

#include "base/log.h"
#include "coordinator/programs/answer.h"
#include "coordinator/programs/compare.h"

namespace bcai::coordinator {
namespace {

std::vector<ReplicaClaim> claims_of(const Dispute& dispute, const FindFile& find_file) {
  std::vector<ReplicaClaim> claims;
  for (const Dispute::Answer& one : dispute.answers) {
    ReplicaClaim claim{.answer = one.answer,
                       .receipt = {},
                       .outcome = one.result.outcome,
                       .exit_code = one.result.exit_code};
    for (const ArtifactRef& artifact : one.result.artifacts) {
      if (one.answer.commitment && artifact.name == kReceiptArtifact) {
        claim.receipt = find_file(artifact.sha256);
      }
    }
    claims.push_back(std::move(claim));
  }
  return claims;
}

}  // namespace

Result<std::unique_ptr<Referee>> Referee::start(RefereeOptions options) {
  std::unique_ptr<Referee> referee(new Referee(std::move(options)));
  referee->stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!referee->stop_) return errno_error(errno, "eventfd");
  referee->thread_ = std::thread([raw = referee.get()] { raw->run(); });
  return referee;
}

Referee::~Referee() { stop(); }

void Referee::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (stop_) eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void Referee::kick() {
  {
    std::lock_guard lock(mutex_);
    kicked_ = true;
  }
  wake_.notify_all();
}

bool Referee::stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void Referee::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return kicked_ || stopping_; });
      if (stopping_) return;
      kicked_ = false;
    }
    while (decide_one()) {
    }
  }
}

bool Referee::decide_one() {
  std::optional<Dispute> dispute;
  const Result<void> read = options_.database.read_now([&](store::Connection& db) -> Result<void> {
    BCAI_TRY_ASSIGN(dispute, find_dispute(db));
    return {};
  });
  if (!read) log_event(LogLevel::kError, "referee.failed", {{"error", read.error().message}});
  if (!read || !dispute) return false;
  Result<Verification> decided = decide(*dispute);
  if (stopping()) return false;
  if (!decided) {
    decided = Verification{.verdict = Verification::Verdict::kUndecided,
                           .reason =
                               "its replicas gave different answers, and no re-run came to "
                               "an end: " +
                               decided.error().message,
                           .rerun_commitment = {},
                           .answers = {}};
  }
  log_event(LogLevel::kInfo, "referee.decided",
            {{"job", dispute->job.text()}, {"reason", decided->reason}});
  const Result<void> written = options_.database.write([&](store::Connection& db) {
    return resolve(db, options_.clock.wall(), dispute->job, *decided);
  });
  if (!written) {
    log_event(LogLevel::kError, "referee.failed", {{"error", written.error().message}});
    return false;
  }
  options_.watch.changed({dispute->job});
  return true;
}

Result<Verification> Referee::decide(const Dispute& dispute) const {
  const FindFile find_file = [this](const Sha256& sha256) {
    return options_.artifacts.path_of(sha256);
  };
  BCAI_TRY_ASSIGN(const vm::Program program, read_admitted_program(dispute.spec, find_file));
  BCAI_TRY_ASSIGN(const Rerun rerun, run_again({.program = options_.program,
                                                .directory = options_.directory,
                                                .cancel_fd = stop_.get()},
                                               dispute.spec, find_file));
  return compare_with_rerun(program, claims_of(dispute, find_file), rerun);
}

}  // namespace bcai::coordinator
