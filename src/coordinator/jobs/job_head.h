// SPDX-License-Identifier: Apache-2.0
// The few columns that are read all the time, without the rest of a job.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "coordinator/store/database.h"
#include "protocol/state.h"

namespace bcai::coordinator {

struct JobHead {
  JobState state = JobState::kQueued;
  int64_t version = 0;
  KeyId owner;
  WallTime created_at;
};

Result<JobHead> find_job_head(store::Connection& db, JobId job);  // kNotFound

// Of the attempts that this node holds.
Result<std::vector<JobId>> jobs_held_by(store::Connection& db, NodeId node);

// A queued job, or a lease that its node has not confirmed.
Result<bool> has_work_for_nodes(store::Connection& db);

// The attempt whose result find_result() gives. kNotFound when there is none.
Result<AttemptId> find_result_attempt(store::Connection& db, JobId job);

// How many jobs are in each state.
struct JobCount {
  JobState state = JobState::kQueued;
  int64_t count = 0;
};
Result<std::vector<JobCount>> count_jobs(store::Connection& db);

}  // namespace bcai::coordinator
