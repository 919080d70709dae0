// SPDX-License-Identifier: Apache-2.0
// Looks at the whole database after each step and compares it with what it saw before, with the
// tables of protocol/state.h, and with what really happened on the machines.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "coordinator/store/database.h"
#include "protocol/state.h"
#include "simulation/truth.h"

namespace bcai::simulation {

class Oracle {
 public:
  Oracle(World& world, Truth& truth, store::Connection& db)
      : world_(world), truth_(truth), db_(db) {}

  void job_was_accepted(JobId job) { accepted_.insert(job); }
  // All of it when anything tells of a change (versions, events) and now and then in any case.
  void after_step();
  bool every_job_ended() const;
  bool every_job_ended_or_is_held() const;
  std::set<JobId> held() const;
  std::string summary() const;  // "7 succeeded, 1 cancelled"

 private:
  void check();
  struct Attempt {
    AttemptState state = AttemptState::kOffered;
    JobId job;
    int64_t epoch = 0;
    bool is_live = false;  // has a deadline
    int64_t replica = 0;
    NodeId node;
    std::optional<Sha256> commitment;
    std::string code;
  };
  struct Job {
    JobState state = JobState::kQueued;
    int64_t version = 0;
    int64_t epoch = 0;
    int64_t events = 0;  // sequence of the newest one seen
    int64_t replicas = 1;
    std::optional<AttemptId> published;
    std::string visible;  // what a user can see of it
  };
  // States as the events tell them, which must come out as those in the rows.
  struct Told {
    std::map<JobId, JobState> jobs;
    std::map<AttemptId, AttemptState> attempts;
  };

  void read_events();
  void follow_job(JobId job, std::string_view state);
  void follow_attempt(AttemptId attempt, std::string_view state);
  std::map<AttemptId, Attempt> read_attempts(std::map<JobId, std::string>& visible);
  void check_job(JobId id, const Job& job, int64_t max_retries);
  void check_attempts(const std::map<AttemptId, Attempt>& attempts);
  void check_live(JobId id, const Job& job, const std::map<AttemptId, Attempt>& attempts);
  void check_ended(JobId id, const Job& job, const std::map<AttemptId, Attempt>& attempts);
  void check_published(JobId id, const Job& job, const std::map<AttemptId, Attempt>& attempts);

  World& world_;
  Truth& truth_;
  store::Connection& db_;
  std::set<JobId> accepted_;
  std::pair<int64_t, int64_t> changes_{-1, -1};
  uint64_t steps_ = 0;
  std::map<JobId, Job> jobs_;
  Told told_;
};

}  // namespace bcai::simulation
