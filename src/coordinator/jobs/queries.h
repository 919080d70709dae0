// SPDX-License-Identifier: Apache-2.0
// What can be read of jobs and nodes. Run on a reader's connection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/jobs/jobs.h"

namespace bcai::coordinator {

struct AttemptRecord {
  AttemptId id;
  NodeId node;
  std::string node_name;
  int64_t epoch = 0;
  int replica = 0;
  AttemptState state = AttemptState::kOffered;
  std::string reason;
  WallTime created_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  Progress progress;
};

struct JobRecord {
  JobId id;
  KeyId owner;
  JobState state = JobState::kQueued;
  Desired desired = Desired::kRun;
  std::string reason_code;  // "no_node", "no_gpu", "waiting_for_slot", "running", "user_error", …
  std::string reason;       // a sentence for the user
  int64_t version = 0;      // grows with every change that a user can see, progress included
  WallTime created_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  JobSpec spec;                         // without its code
  std::vector<AttemptRecord> attempts;  // oldest first
  std::optional<AttemptId> published;   // the attempt whose result is the job's
  json::value quote;                    // null of Python
  json::value verification;             // null before there is one
};

struct EventRecord {
  int64_t sequence = 0;  // of the job
  WallTime time;
  std::string kind;   // "job.queued", "attempt.leased", …
  std::string actor;  // "user", "scheduler", "node_…", "reconciler"
  std::string reason;
};

struct JobFilter {
  std::optional<KeyId> owner;  // nothing: everyone's
  std::optional<JobState> state;
  std::string name;             // exact; "" is any
  std::optional<JobId> before;  // older than this: the next page
  int limit = 50;
};

struct NodeRecord {
  NodeId id;
  std::string name;
  std::string state;  // "online", "silent", "offline"
  WallTime registered_at;
  WallTime last_seen;
  Capabilities capabilities;
  Capacity free;
  int running = 0;
};

Result<JobRecord> find_job(store::Connection& db, JobId job);  // kNotFound
Result<std::vector<JobRecord>> list_jobs(store::Connection& db, const JobFilter& filter);
Result<std::vector<EventRecord>> job_events(store::Connection& db, JobId job);
// Of the published attempt, or else of the last one that has a result; of a job with replicas the
// published one alone. kNotFound before that.
Result<AttemptResult> find_result(store::Connection& db, JobId job);
Result<std::vector<NodeRecord>> list_nodes(store::Connection& db, WallTime now,
                                           const Timing& timing);

}  // namespace bcai::coordinator
