// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/clip.h"
#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/artifacts.h"
#include "coordinator/store/row.h"
#include "protocol/program_exit.h"

namespace bcai::coordinator {
namespace {

using store::bytes_of;

constexpr size_t kReasonBytesMax = 400;

// How an attempt ends, with the words for it.
struct Ending {
  AttemptState state = AttemptState::kFailed;
  FailureClass failure = FailureClass::kNone;
  std::string code;
  std::string reason;
};

std::string failure_sentence(const AttemptResult& result) {
  if (!result.detail.empty()) return result.detail;
  if (!result.error.type.empty()) {
    const std::string line =
        result.error.line > 0 ? fmt::format(" (line {})", result.error.line) : "";
    return fmt::format("{}: {}{}", result.error.type, result.error.message, line);
  }
  switch (result.outcome) {
    case Outcome::kFinished: return fmt::format("ended with exit code {}", result.exit_code);
    case Outcome::kOutOfMemory: return "used more memory than it asked for";
    case Outcome::kTimedOut: return "ran longer than its timeout";
    case Outcome::kOverCpu: return "used more CPU time than its limit";
    case Outcome::kOverOutput: return "wrote more output than its limit";
    case Outcome::kOverProcesses: return "started more processes than its limit";
    case Outcome::kPolicyViolation: return "did what the policy forbids";
    case Outcome::kEnvironmentFailed: return "its environment could not be made";
    case Outcome::kCancelled: return "was stopped";
    case Outcome::kNodeFailure: return "the node could not run it";
  }
  return {};
}

Ending ending_of_cancelled(const AttemptRow& attempt, const AttemptResult& result) {
  if (attempt.job_desired == Desired::kCancel) {
    return {.state = AttemptState::kCancelled, .code = "killed", .reason = "cancelled and killed"};
  }
  if (attempt.desired == Desired::kCancel) {
    return {.state = AttemptState::kFailed,
            .failure = FailureClass::kTimeout,
            .code = "overrun",
            .reason = "was stopped long after its timeout"};
  }
  // The node gave it up of its own accord.
  const bool preempted = may_become(attempt.state, AttemptState::kPreempted);
  return {.state = preempted ? AttemptState::kPreempted : AttemptState::kFailed,
          .failure = FailureClass::kInfra,
          .code = "preempted",
          .reason = fmt::format("{} {}", attempt.node_name, failure_sentence(result))};
}

Ending ending_of(const AttemptRow& attempt, const AttemptResult& result) {
  if (result.outcome == Outcome::kCancelled) return ending_of_cancelled(attempt, result);
  FailureClass failure = failure_class(result.outcome, result.exit_code);
  const bool ran = result.outcome == Outcome::kFinished;
  if (ran && result.exit_code != 0 && attempt.job_is_native &&
      result.exit_code != kProgramFailedExit) {
    failure = FailureClass::kInfra;
  }
  if (failure == FailureClass::kNone) {
    return {.state = AttemptState::kCompleted, .code = "succeeded", .reason = "finished"};
  }
  std::string code(name(result.outcome));
  if (ran) code = failure == FailureClass::kInfra ? "program_not_run" : "user_error";
  std::string reason = failure_sentence(result);
  if (failure == FailureClass::kInfra) reason = fmt::format("{}: {}", attempt.node_name, reason);
  return {.state = AttemptState::kFailed,
          .failure = failure,
          .code = std::move(code),
          .reason = clip_utf8(reason, kReasonBytesMax)};
}

Result<void> insert_result(store::Connection& db, WallTime now, const AttemptRow& attempt,
                           const AttemptResult& result, bool fenced) {
  BCAI_TRY(db.prepare("INSERT INTO results (attempt, job, fenced, received_at, result)"
                      " VALUES (?, ?, ?, ?, ?)")
               .bind_blob(bytes_of(attempt.id))
               .bind_blob(bytes_of(attempt.job))
               .bind(fenced ? 1 : 0)
               .bind(now.ms)
               .bind(to_text(encode(result)))
               .run());
  return {};
}

// Of an attempt that was given up: kept as evidence, seen by nobody.
Result<Completion> keep_fenced(store::Connection& db, WallTime now, const AttemptRow& attempt,
                               const AttemptResult& result) {
  BCAI_TRY(insert_result(db, now, attempt, result, true));
  // An attempt that ended in another way keeps its state: the table has no step from there.
  BCAI_TRY(end_attempt(db, now, attempt, AttemptState::kFenced, FailureClass::kNone,
                       {.actor = attempt.node.text(),
                        .code = "fenced",
                        .reason = "its result came after it was given up; it does not count"}));
  return Completion{.published = false};
}

Result<void> require_artifacts(const AttemptResult& result,
                               const std::function<bool(const Sha256&)>& has_artifact) {
  for (const ArtifactRef& artifact : result.artifacts) {
    if (has_artifact(artifact.sha256)) continue;
    return error(ErrorCode::kFailedPrecondition, "artifact '{}' {} has not been uploaded",
                 artifact.name, artifact.sha256.text());
  }
  return {};
}

// A job shorter than a heartbeat was never seen running, nor the end of any job's progress.
Result<void> note_unheard(store::Connection& db, WallTime now, const AttemptRow& attempt,
                          const AttemptResult& result) {
  BCAI_TRY(db.prepare("UPDATE attempts SET progress = ? WHERE id = ?")
               .bind(to_text(encode(result.progress)))
               .bind_blob(bytes_of(attempt.id))
               .run());
  const int64_t wall_ms = std::clamp<int64_t>(result.usage.wall_ms, 0, now.ms);
  BCAI_TRY(db.prepare("UPDATE attempts SET started_at = max(created_at, ?) WHERE id = ?"
                      " AND started_at IS NULL")
               .bind(now.ms - wall_ms)
               .bind_blob(bytes_of(attempt.id))
               .run());
  return {};
}

Result<void> accept(store::Connection& db, WallTime now, AttemptRow attempt,
                    const AttemptResult& result) {
  const std::string actor = attempt.node.text();
  BCAI_TRY(insert_result(db, now, attempt, result, false));
  for (const ArtifactRef& artifact : result.artifacts) {
    BCAI_TRY(
        store::insert_artifact_use(db, artifact.sha256, attempt.job, store::ArtifactUse::kOutput));
  }
  if (attempt.state == AttemptState::kOffered) {
    const std::string reason = fmt::format("taken by {}", attempt.node_name);
    BCAI_TRY(move_attempt(db, now, attempt, AttemptState::kLeased, now,
                          {.actor = actor, .code = "leased", .reason = reason}));
    attempt.state = AttemptState::kLeased;
  }
  if (result.outcome != Outcome::kNodeFailure) BCAI_TRY(note_unheard(db, now, attempt, result));
  if (result.commitment) {
    BCAI_TRY(db.prepare("UPDATE attempts SET commitment = ? WHERE id = ?")
                 .bind_blob(bytes_of(*result.commitment))
                 .bind_blob(bytes_of(attempt.id))
                 .run());
  }
  const Ending ending = ending_of(attempt, result);
  BCAI_TRY_ASSIGN(const bool moved,
                  end_attempt(db, now, attempt, ending.state, ending.failure,
                              {.actor = actor, .code = ending.code, .reason = ending.reason}));
  BCAI_ASSERT(moved);
  return settle(db, now, attempt.job, actor);
}

Result<AttemptRow> load_own_attempt(store::Connection& db, NodeId node, AttemptId attempt,
                                    int64_t epoch) {
  BCAI_TRY_ASSIGN(AttemptRow found, load_attempt(db, attempt));
  if (found.node == node && found.epoch == epoch) return found;
  return error(ErrorCode::kNotFound, "node {} has no attempt {} of epoch {}", node.text(),
               attempt.text(), epoch);
}

}  // namespace

Result<Completion> complete(store::Connection& db, WallTime now, NodeId node, AttemptId attempt_id,
                            int64_t epoch, const AttemptResult& result,
                            const std::function<bool(const Sha256&)>& has_artifact) {
  BCAI_TRY_ASSIGN(const AttemptRow attempt, load_own_attempt(db, node, attempt_id, epoch));
  {
    store::Statement row = db.prepare("SELECT fenced FROM results WHERE attempt = ?");
    BCAI_TRY_ASSIGN(const bool known, row.bind_blob(bytes_of(attempt_id)).step());
    if (known) return Completion{.published = row.integer(0) == 0};
  }
  if (is_terminal(attempt.state) || is_terminal(attempt.job_state) ||
      attempt.replica_epoch != attempt.epoch) {
    return keep_fenced(db, now, attempt, result);
  }
  BCAI_TRY(require_artifacts(result, has_artifact));
  const bool succeeded = failure_class(result.outcome, result.exit_code) == FailureClass::kNone &&
                         result.outcome == Outcome::kFinished;
  if (attempt.job_is_native && succeeded && !result.commitment) {
    return error(ErrorCode::kUnavailable, "its answer has not been checked; try again");
  }
  BCAI_TRY(accept(db, now, attempt, result));
  return Completion{.published = true};
}

Result<JobId> check_epoch(store::Connection& db, NodeId node, AttemptId attempt, int64_t epoch) {
  BCAI_TRY_ASSIGN(const AttemptRow found, load_own_attempt(db, node, attempt, epoch));
  const bool given_up = found.state == AttemptState::kLost ||
                        found.state == AttemptState::kFenced || found.replica_epoch != found.epoch;
  if (!given_up) return found.job;
  return error(ErrorCode::kFailedPrecondition, "attempt {} is fenced: it was given up",
               attempt.text());
}

}  // namespace bcai::coordinator
