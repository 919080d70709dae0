// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/transition.h"

#include <array>

#include "coordinator/jobs/stored_text.h"
#include "coordinator/jobs/verdict.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;
using store::time_at;

// " queued active ": what a guard looks the present state up in.
template <typename State>
std::string words_of(State to) {
  std::string words = " ";
  for (State from : sources_of(to)) words += fmt::format("{} ", name(from));
  return words;
}

template <typename State, size_t kStates>
std::string_view guard(State to) {
  static const auto texts = [] {
    std::array<std::string, kStates> all;
    for (size_t i = 0; i < kStates; ++i) all[i] = words_of(static_cast<State>(i));
    return all;
  }();
  return texts[static_cast<size_t>(to)];
}

std::string_view guard(JobState to) {
  return guard<JobState, static_cast<size_t>(JobState::kDisputed) + 1>(to);
}
std::string_view guard(AttemptState to) {
  return guard<AttemptState, static_cast<size_t>(AttemptState::kLost) + 1>(to);
}

AttemptRow read_attempt(const store::Statement& row) {
  return {.id = bytes_at<AttemptId>(row, 0),
          .job = bytes_at<JobId>(row, 1),
          .node = bytes_at<NodeId>(row, 2),
          .node_name = std::string(row.text(3)),
          .epoch = row.integer(4),
          .state = stored(parse_attempt_state(row.text(5))),
          .desired = stored(parse_desired(row.text(6))),
          .job_desired = stored(parse_desired(row.text(7))),
          .job_state = stored(parse_job_state(row.text(8))),
          .replica_epoch = row.integer(9),
          .offered_at = time_at(row, 10),
          .heard_at = time_at(row, 11),
          .progress = std::string(row.text(12)),
          .job_is_native = row.integer(13) != 0};
}

#define BCAI_SELECT_ATTEMPT                                                              \
  "SELECT a.id, a.job, a.node, n.name, a.epoch, a.state, a.desired, j.desired, j.state," \
  " (SELECT max(epoch) FROM attempts WHERE job = a.job AND replica = a.replica),"        \
  " a.offered_at, a.heard_at, a.progress, j.quote <> ''"                                 \
  " FROM attempts a JOIN jobs j ON j.id = a.job JOIN nodes n ON n.id = a.node "

Result<void> bump_version(store::Connection& db, JobId job) {
  BCAI_TRY(db.prepare("UPDATE jobs SET version = version + 1 WHERE id = ?")
               .bind_blob(bytes_of(job))
               .run());
  return {};
}

Result<void> note_attempt_step(store::Connection& db, WallTime now, const AttemptRow& attempt,
                               AttemptState to, const Cause& cause) {
  BCAI_TRY(add_event(db, now, attempt.job, attempt.id, fmt::format("attempt.{}", name(to)), cause));
  return bump_version(db, attempt.job);
}

struct JobRow {
  JobState state = JobState::kQueued;
  Desired desired = Desired::kRun;
  int max_retries = 0;
  int replicas = 1;
  std::optional<Verification> verification;
  Millis timeout{};
  Millis queue_timeout{};
  std::string code;
  std::string reason;
};

Result<JobRow> load_job(store::Connection& db, JobId job) {
  store::Statement row = db.prepare(
      "SELECT state, desired, max_retries, timeout_ms, queue_timeout_ms, reason_code, reason,"
      " replicas, verification FROM jobs WHERE id = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(job)).step());
  if (!found) return error(ErrorCode::kNotFound, "there is no job {}", job.text());
  BCAI_TRY_ASSIGN(std::optional<Verification> verification, verification_of(row.text(8)));
  return JobRow{.state = stored(parse_job_state(row.text(0))),
                .desired = stored(parse_desired(row.text(1))),
                .max_retries = static_cast<int>(row.integer(2)),
                .replicas = static_cast<int>(row.integer(7)),
                .verification = std::move(verification),
                .timeout = Millis(row.integer(3)),
                .queue_timeout = Millis(row.integer(4)),
                .code = std::string(row.text(5)),
                .reason = std::string(row.text(6))};
}

FailureClass parse_failure(std::string_view word) {
  for (FailureClass failure :
       {FailureClass::kUser, FailureClass::kOutOfMemory, FailureClass::kTimeout,
        FailureClass::kPolicy, FailureClass::kInfra}) {
    if (word == name(failure)) return failure;
  }
  return FailureClass::kNone;
}

Result<std::vector<AttemptFact>> load_facts(store::Connection& db, JobId job) {
  std::vector<AttemptFact> facts;
  store::Statement rows = db.prepare(
      "SELECT id, node, state, failure, reason_code, reason,"
      " EXISTS (SELECT 1 FROM results WHERE attempt = attempts.id AND fenced = 0),"
      " replica, commitment FROM attempts WHERE job = ? ORDER BY epoch");
  rows.bind_blob(bytes_of(job));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return facts;
    facts.push_back({.id = bytes_at<AttemptId>(rows, 0),
                     .node = bytes_at<NodeId>(rows, 1),
                     .state = stored(parse_attempt_state(rows.text(2))),
                     .failure = parse_failure(rows.text(3)),
                     .code = std::string(rows.text(4)),
                     .reason = std::string(rows.text(5)),
                     .has_result = rows.integer(6) != 0,
                     .replica = static_cast<int>(rows.integer(7)),
                     .commitment = store::optional_bytes_at<Sha256>(rows, 8),
                     .agrees = {}});
  }
}

Verdict judge(const JobRow& job, std::vector<AttemptFact>& facts) {
  if (job.replicas == 1) return judge(job.desired, job.max_retries, facts);
  if (job.verification) {
    for (const ReplicaAnswer& answer : job.verification->answers) {
      for (AttemptFact& fact : facts) {
        if (fact.id == answer.attempt) fact.agrees = answer.agrees;
      }
    }
  }
  return judge_replicas(job.desired, job.max_retries, job.replicas, facts,
                        job.verification ? job.verification->reason : "");
}

struct Waits {
  std::string_view responsible;
  WallTime deadline;
};

Waits waits_of(JobState state, WallTime now, const JobRow& job) {
  switch (state) {
    case JobState::kQueued: return {"scheduler", now + job.queue_timeout};
    case JobState::kHeld: return {"operator", now + kHold};
    case JobState::kVerifying: return {"coordinator", now + job.timeout + kOverrun};
    default: return {"node", now + job.timeout + kOverrun};
  }
}

Result<bool> step_job(store::Connection& db, WallTime now, JobId id, const JobRow& job, JobState to,
                      const std::optional<AttemptId>& published, const Cause& cause) {
  store::Statement update = db.prepare(
      "UPDATE jobs SET state = ?, responsible = ?, deadline = ?, reason_code = ?, reason = ?,"
      " version = version + 1, ended_at = ?, published = coalesce(?, published),"
      " started_at = coalesce((SELECT min(started_at) FROM attempts WHERE job = jobs.id),"
      "                       started_at)"
      " WHERE id = ? AND instr(?, ' ' || state || ' ') > 0");
  update.bind(name(to));
  if (is_terminal(to)) {
    update.bind("").bind_null();
  } else {
    const Waits waits = waits_of(to, now, job);
    update.bind(waits.responsible).bind(waits.deadline.ms);
  }
  update.bind(cause.code).bind(cause.reason);
  is_terminal(to) ? update.bind(now.ms) : update.bind_null();
  published ? update.bind_blob(bytes_of(*published)) : update.bind_null();
  BCAI_TRY_ASSIGN(const int64_t changed, update.bind_blob(bytes_of(id)).bind(guard(to)).run());
  if (changed == 0) return false;
  BCAI_TRY(add_event(db, now, id, std::nullopt, fmt::format("job.{}", name(to)), cause));
  return true;
}

// The reason of a job that stays in its state, and since when it runs.
Result<void> refresh_job(store::Connection& db, JobId id, const Cause& cause) {
  BCAI_TRY(db.prepare("UPDATE jobs SET reason_code = ?, reason = ?, version = version + 1,"
                      " started_at = coalesce((SELECT min(started_at) FROM attempts"
                      "                        WHERE job = jobs.id), started_at)"
                      " WHERE id = ?")
               .bind(cause.code)
               .bind(cause.reason)
               .bind_blob(bytes_of(id))
               .run());
  return {};
}

}  // namespace

Result<AttemptRow> load_attempt(store::Connection& db, AttemptId id) {
  store::Statement row = db.prepare(BCAI_SELECT_ATTEMPT "WHERE a.id = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(id)).step());
  if (!found) return error(ErrorCode::kNotFound, "there is no attempt {}", id.text());
  return read_attempt(row);
}

Result<std::vector<AttemptRow>> live_attempts(store::Connection& db, NodeId node) {
  std::vector<AttemptRow> attempts;
  store::Statement rows =
      db.prepare(BCAI_SELECT_ATTEMPT
                 "WHERE a.node = ? AND a.deadline IS NOT NULL ORDER BY a.created_at, a.id");
  rows.bind_blob(bytes_of(node));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return attempts;
    attempts.push_back(read_attempt(rows));
  }
}

Result<bool> move_attempt(store::Connection& db, WallTime now, const AttemptRow& attempt,
                          AttemptState to, WallTime deadline, const Cause& cause) {
  BCAI_ASSERT(!is_terminal(to));
  const std::string_view responsible = to == AttemptState::kUnknown ? "reconciler" : "node";
  store::Statement update = db.prepare(
      "UPDATE attempts SET state = ?, responsible = ?, deadline = ?, reason_code = ?, reason = ?,"
      " started_at = CASE WHEN ? THEN coalesce(started_at, ?) ELSE started_at END"
      " WHERE id = ? AND node = ? AND epoch = ? AND instr(?, ' ' || state || ' ') > 0");
  update.bind(name(to)).bind(responsible).bind(deadline.ms).bind(cause.code).bind(cause.reason);
  update.bind(to == AttemptState::kRunning || to == AttemptState::kUploading ? 1 : 0).bind(now.ms);
  update.bind_blob(bytes_of(attempt.id)).bind_blob(bytes_of(attempt.node)).bind(attempt.epoch);
  BCAI_TRY_ASSIGN(const int64_t changed, update.bind(guard(to)).run());
  if (changed == 0) return false;
  BCAI_TRY(note_attempt_step(db, now, attempt, to, cause));
  return true;
}

Result<bool> end_attempt(store::Connection& db, WallTime now, const AttemptRow& attempt,
                         AttemptState to, FailureClass failure, const Cause& cause) {
  BCAI_ASSERT(is_terminal(to));
  store::Statement update = db.prepare(
      "UPDATE attempts SET state = ?, responsible = '', deadline = NULL,"
      " failure = CASE WHEN state IN ('lost', 'cancelled') THEN failure ELSE ? END, reason_code = "
      "?, reason = ?, ended_at = coalesce(ended_at, ?)"
      " WHERE id = ? AND node = ? AND epoch = ? AND instr(?, ' ' || state || ' ') > 0");
  update.bind(name(to)).bind(failure == FailureClass::kNone ? "" : name(failure));
  update.bind(cause.code).bind(cause.reason).bind(now.ms);
  update.bind_blob(bytes_of(attempt.id)).bind_blob(bytes_of(attempt.node)).bind(attempt.epoch);
  BCAI_TRY_ASSIGN(const int64_t changed, update.bind(guard(to)).run());
  if (changed == 0) return false;
  BCAI_TRY(note_attempt_step(db, now, attempt, to, cause));
  return true;
}

Result<void> settle(store::Connection& db, WallTime now, JobId id, std::string_view actor) {
  BCAI_TRY_ASSIGN(const JobRow job, load_job(db, id));
  if (is_terminal(job.state)) return {};
  BCAI_TRY_ASSIGN(std::vector<AttemptFact> facts, load_facts(db, id));
  const Verdict verdict = judge(job, facts);
  const Cause cause{.actor = actor, .code = verdict.code, .reason = verdict.reason};
  if (verdict.state == JobState::kSucceeded && job.replicas > 1 && !job.verification) {
    BCAI_TRY(note_agreement(db, id, verdict.reason));
  }
  if (verdict.state == job.state) {
    if (verdict.code == job.code && verdict.reason == job.reason) return {};
    // What the scheduler wrote about a waiting job says more than "queued".
    if (job.state == JobState::kQueued) return {};
    return refresh_job(db, id, cause);
  }
  if (verdict.state == JobState::kSucceeded && job.state != JobState::kVerifying) {
    const Cause verifying{.actor = actor, .code = "verifying", .reason = "its artifacts are here"};
    BCAI_TRY_ASSIGN(const bool moved,
                    step_job(db, now, id, job, JobState::kVerifying, std::nullopt, verifying));
    BCAI_ASSERT(moved);
  }
  BCAI_TRY_ASSIGN(const bool moved,
                  step_job(db, now, id, job, verdict.state, verdict.published, cause));
  // The tables of attempts and jobs fit together; a verdict that is no step is our own mistake.
  BCAI_ASSERT(moved);
  return {};
}

Result<bool> move_job(store::Connection& db, WallTime now, JobId id, JobState to,
                      const Cause& cause) {
  BCAI_TRY_ASSIGN(const JobRow job, load_job(db, id));
  return step_job(db, now, id, job, to, std::nullopt, cause);
}

Result<void> add_event(store::Connection& db, WallTime now, JobId job,
                       const std::optional<AttemptId>& attempt, std::string_view kind,
                       const Cause& cause) {
  store::Statement insert = db.prepare(
      "INSERT INTO job_events (job, sequence, attempt, time, kind, actor, reason_code, reason)"
      " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7"
      " FROM job_events WHERE job = ?1");
  insert.bind_blob(bytes_of(job));
  attempt ? insert.bind_blob(bytes_of(*attempt)) : insert.bind_null();
  BCAI_TRY(
      insert.bind(now.ms).bind(kind).bind(cause.actor).bind(cause.code).bind(cause.reason).run());
  return {};
}

}  // namespace bcai::coordinator
