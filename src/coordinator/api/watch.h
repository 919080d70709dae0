// SPDX-License-Identifier: Apache-2.0
// Those who wait for a job to change. Whoever commits a change says so; one read at a time then
// looks at the jobs that changed and have a watcher, and calls each whose condition holds, once.
// Thread-safe. Watchers are called on a thread of the database and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/api/gate.h"
#include "coordinator/jobs/queries.h"

namespace bcai::coordinator {

struct JobWatcher {
  JobId job;
  // Called when the job has ended, and with `version` also when its version is larger.
  std::optional<int64_t> version;
  // `json` is the Job as text. An error: the job cannot be read.
  std::function<void(const Result<JobRecord>& job, const std::string& json)> call;
};

class JobWatch {
 public:
  explicit JobWatch(DatabaseGate& database) : database_(database) {}

  // Calls at once (from another thread) if the condition already holds.
  uint64_t add(JobWatcher watcher);
  // True when it was there and will not be called any more.
  bool remove(uint64_t id);

  void changed(const std::vector<JobId>& jobs);
  // The reasons of queued jobs may have changed, of which ones is not known.
  void queued_changed();

 private:
  struct Entry {
    uint64_t id = 0;
    JobWatcher watcher;
  };

  void look(std::unique_lock<std::mutex>& lock);
  void pass(store::Connection& db);
  void pass_job(store::Connection& db, JobId job);

  DatabaseGate& database_;
  std::mutex mutex_;
  std::multimap<JobId, Entry> entries_;
  std::unordered_map<uint64_t, JobId> by_id_;
  std::set<JobId> dirty_;
  std::set<JobId> queued_;  // watched, and queued when last looked at
  uint64_t next_id_ = 1;
  bool looking_ = false;
};

}  // namespace bcai::coordinator
