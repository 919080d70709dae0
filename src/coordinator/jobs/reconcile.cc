// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;

constexpr std::string_view kActor = "reconciler";
constexpr int kBatch = 500;
constexpr Millis kLatest{60'000};

template <typename T>
Result<std::vector<T>> due(store::Statement rows, WallTime now) {
  std::vector<T> ids;
  rows.bind(now.ms).bind(kBatch);
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return ids;
    ids.push_back(bytes_at<T>(rows, 0));
  }
}

Result<void> fall_silent(store::Connection& db, WallTime now, const AttemptRow& attempt,
                         const Timing& timing) {
  const std::string reason = fmt::format("nothing was heard of {} since {}", attempt.node_name,
                                         format_time(attempt.heard_at));
  BCAI_TRY(move_attempt(db, now, attempt, AttemptState::kUnknown,
                        attempt.heard_at + timing.lost_after,
                        {.actor = kActor, .code = "node_silent", .reason = reason}));
  return {};
}

Result<void> give_up(store::Connection& db, WallTime now, const AttemptRow& attempt) {
  const bool offered = attempt.state == AttemptState::kOffered;
  const std::string reason = offered
                                 ? fmt::format("{} did not take it", attempt.node_name)
                                 : fmt::format("{} was lost: nothing heard since {}",
                                               attempt.node_name, format_time(attempt.heard_at));
  BCAI_TRY(end_attempt(
      db, now, attempt, AttemptState::kLost, FailureClass::kInfra,
      {.actor = kActor, .code = offered ? "not_taken" : "node_lost", .reason = reason}));
  return {};
}

Result<void> expire_attempt(store::Connection& db, WallTime now, AttemptId id, const Timing& timing,
                            std::vector<JobId>& changed) {
  BCAI_TRY_ASSIGN(const AttemptRow attempt, load_attempt(db, id));
  const bool silent_long =
      attempt.state == AttemptState::kUnknown || attempt.state == AttemptState::kOffered;
  BCAI_TRY(silent_long ? give_up(db, now, attempt) : fall_silent(db, now, attempt, timing));
  changed.push_back(attempt.job);
  return settle(db, now, attempt.job, kActor);
}

struct DueJob {
  JobState state = JobState::kQueued;
  Desired desired = Desired::kRun;
  std::vector<AttemptId> live;
  std::string reason;
};

Result<DueJob> load_due_job(store::Connection& db, JobId id) {
  store::Statement row = db.prepare("SELECT state, desired, reason FROM jobs WHERE id = ?");
  BCAI_TRY(row.bind_blob(bytes_of(id)).step());
  const auto state = parse_job_state(row.text(0));
  const auto desired = parse_desired(row.text(1));
  BCAI_ASSERT(state && desired);
  DueJob job{.state = *state, .desired = *desired, .live = {}, .reason = std::string(row.text(2))};
  store::Statement live =
      db.prepare("SELECT id FROM attempts WHERE job = ? AND deadline IS NOT NULL ORDER BY epoch");
  live.bind_blob(bytes_of(id));
  while (true) {
    BCAI_TRY_ASSIGN(const bool found, live.step());
    if (!found) return job;
    job.live.push_back(bytes_at<AttemptId>(live, 0));
  }
}

// An attempt of a job that should long have ended. Its node is told to stop it; when that does not
// help either, the attempt is given up, and not tried again while it may still run.
Result<void> stop_overdue(store::Connection& db, WallTime now, JobId id, const DueJob& job,
                          AttemptId live) {
  BCAI_TRY_ASSIGN(const AttemptRow attempt, load_attempt(db, live));
  if (attempt.desired != Desired::kCancel) {
    BCAI_TRY(db.prepare("UPDATE attempts SET desired = 'cancel' WHERE id = ?")
                 .bind_blob(bytes_of(attempt.id))
                 .run());
    BCAI_TRY(db.prepare("UPDATE jobs SET deadline = ?, version = version + 1 WHERE id = ?")
                 .bind((now + kStopWithin).ms)
                 .bind_blob(bytes_of(id))
                 .run());
    return add_event(
        db, now, id, attempt.id, "attempt.stop_requested",
        {.actor = kActor, .code = "overrun", .reason = "it goes on long after its timeout"});
  }
  const std::string reason = fmt::format("{} did not show that it stopped it", attempt.node_name);
  const bool cancelled = job.desired == Desired::kCancel;
  BCAI_TRY(end_attempt(db, now, attempt, AttemptState::kLost,
                       cancelled ? FailureClass::kNone : FailureClass::kTimeout,
                       {.actor = kActor, .code = "overrun", .reason = reason}));
  return settle(db, now, id, kActor);
}

// With what it waited for at last, which is what the user can mend.
std::string expired_because(const std::string& waited_for) {
  const std::string reason = "no node took it within its queue_timeout";
  return waited_for.empty() ? reason : fmt::format("{}: {}", reason, waited_for);
}

Result<void> expire_job(store::Connection& db, WallTime now, JobId id,
                        std::vector<JobId>& changed) {
  BCAI_TRY_ASSIGN(const DueJob job, load_due_job(db, id));
  changed.push_back(id);
  switch (job.state) {
    case JobState::kQueued:
      BCAI_TRY(move_job(
          db, now, id, JobState::kExpired,
          {.actor = kActor, .code = "queue_timeout", .reason = expired_because(job.reason)}));
      return {};
    case JobState::kActive:
      for (const AttemptId live : job.live) BCAI_TRY(stop_overdue(db, now, id, job, live));
      return {};
    case JobState::kVerifying:
      return resolve(db, now, id, {.reason = "the re-run did not end in time"});
    default: return cancel(db, now, id, kActor);  // held, and nobody decided
  }
}

Result<WallTime> next_deadline(store::Connection& db, WallTime now) {
  store::Statement row = db.prepare(
      "SELECT min((SELECT coalesce(min(deadline), ?1) FROM jobs WHERE deadline IS NOT NULL),"
      " (SELECT coalesce(min(deadline), ?1) FROM attempts WHERE deadline IS NOT NULL))");
  BCAI_TRY(row.bind((now + kLatest).ms).step());
  return WallTime{std::min(row.integer(0), (now + kLatest).ms)};
}

}  // namespace

Result<Reconciled> reconcile(store::Connection& db, WallTime now, const Timing& timing) {
  Reconciled reconciled;
  BCAI_TRY_ASSIGN(const auto attempts,
                  due<AttemptId>(db.prepare("SELECT id FROM attempts WHERE deadline <= ?"
                                            " ORDER BY deadline LIMIT ?"),
                                 now));
  for (AttemptId id : attempts) BCAI_TRY(expire_attempt(db, now, id, timing, reconciled.changed));
  BCAI_TRY_ASSIGN(const auto jobs, due<JobId>(db.prepare("SELECT id FROM jobs WHERE deadline <= ?"
                                                         " ORDER BY deadline LIMIT ?"),
                                              now));
  for (JobId id : jobs) BCAI_TRY(expire_job(db, now, id, reconciled.changed));
  std::sort(reconciled.changed.begin(), reconciled.changed.end());
  reconciled.changed.erase(std::unique(reconciled.changed.begin(), reconciled.changed.end()),
                           reconciled.changed.end());
  BCAI_TRY_ASSIGN(reconciled.next, next_deadline(db, now));
  return reconciled;
}

Result<void> grace(store::Connection& db, WallTime now, const Timing& timing) {
  // "unknown" is reached again after unknown_after, and "lost" not before lost_after.
  BCAI_TRY(db.prepare("UPDATE attempts SET heard_at = ?1, deadline ="
                      " CASE WHEN state IN ('offered', 'unknown') THEN ?2 ELSE ?3 END"
                      " WHERE deadline IS NOT NULL")
               .bind(now.ms)
               .bind((now + timing.lost_after).ms)
               .bind((now + timing.unknown_after).ms)
               .run());
  return {};
}

}  // namespace bcai::coordinator
