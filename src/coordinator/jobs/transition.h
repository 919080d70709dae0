// SPDX-License-Identifier: Apache-2.0
// The steps of attempts and jobs: each one guarded statement and its event, in the caller's
// transaction. Nothing else in this room writes a state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coordinator/jobs/jobs.h"

namespace bcai::coordinator {

// How long past its time limit a job may stay active (staging, upload) before it is told to stop,
// how long a node then has to prove that it did, and how long a held job waits for a person.
inline constexpr Millis kOverrun{2 * 3'600'000};
inline constexpr Millis kStopWithin{600'000};
inline constexpr Millis kHold{24 * 3'600'000};

// Who did it, and why: `code` for programs, `reason` a sentence for the user.
struct Cause {
  std::string_view actor;
  std::string_view code;
  std::string_view reason;
};

struct AttemptRow {
  AttemptId id;
  JobId job;
  NodeId node;
  std::string node_name;
  int64_t epoch = 0;
  AttemptState state = AttemptState::kOffered;
  Desired desired = Desired::kRun;  // of the attempt
  Desired job_desired = Desired::kRun;
  JobState job_state = JobState::kQueued;
  int64_t replica_epoch = 0;  // the newest of this replica: an older one is fenced
  WallTime offered_at;
  WallTime heard_at;
  std::string progress;        // JSON
  bool job_is_native = false;  // it was quoted, and its answers are checked
};

Result<AttemptRow> load_attempt(store::Connection& db, AttemptId id);  // kNotFound
// The attempts of a node that have not ended, oldest first.
Result<std::vector<AttemptRow>> live_attempts(store::Connection& db, NodeId node);

// To a state that has not ended. False when the present state does not allow it.
Result<bool> move_attempt(store::Connection& db, WallTime now, const AttemptRow& attempt,
                          AttemptState to, WallTime deadline, const Cause& cause);
// To a state that has ended.
Result<bool> end_attempt(store::Connection& db, WallTime now, const AttemptRow& attempt,
                         AttemptState to, FailureClass failure, const Cause& cause);

// Brings the job's state and reason to what its attempts make of them (verdict.h).
Result<void> settle(store::Connection& db, WallTime now, JobId job, std::string_view actor);

// Keeps with the job that its replicas agreed.
Result<void> note_agreement(store::Connection& db, JobId job, const std::string& reason);

// A step that does not follow from the attempts: kExpired.
Result<bool> move_job(store::Connection& db, WallTime now, JobId job, JobState to,
                      const Cause& cause);

Result<void> add_event(store::Connection& db, WallTime now, JobId job,
                       const std::optional<AttemptId>& attempt, std::string_view kind,
                       const Cause& cause);

}  // namespace bcai::coordinator
