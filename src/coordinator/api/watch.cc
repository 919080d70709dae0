// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/watch.h"

#include <utility>

#include "coordinator/api/job_json.h"
#include "coordinator/jobs/job_head.h"

namespace bcai::coordinator {
namespace {

bool holds(const JobWatcher& watcher, const JobHead& head) {
  return is_terminal(head.state) || (watcher.version && head.version > *watcher.version);
}

}  // namespace

uint64_t JobWatch::add(JobWatcher watcher) {
  std::unique_lock lock(mutex_);
  const uint64_t id = next_id_++;
  const JobId job = watcher.job;
  entries_.emplace(job, Entry{id, std::move(watcher)});
  by_id_.emplace(id, job);
  dirty_.insert(job);
  look(lock);
  return id;
}

bool JobWatch::remove(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return false;
  const auto [begin, end] = entries_.equal_range(found->second);
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second.id != id) continue;
    entries_.erase(entry);
    break;
  }
  if (!entries_.contains(found->second)) queued_.erase(found->second);
  by_id_.erase(found);
  return true;
}

void JobWatch::changed(const std::vector<JobId>& jobs) {
  std::unique_lock lock(mutex_);
  bool any = false;
  for (const JobId& job : jobs) {
    if (!entries_.contains(job)) continue;
    dirty_.insert(job);
    any = true;
  }
  if (any) look(lock);
}

void JobWatch::queued_changed() {
  std::unique_lock lock(mutex_);
  if (queued_.empty()) return;
  dirty_.insert(queued_.begin(), queued_.end());
  look(lock);
}

// At most one read is under way; what becomes dirty meanwhile gets the next one, on a newer
// snapshot.
void JobWatch::look(std::unique_lock<std::mutex>& lock) {
  if (looking_) return;
  looking_ = true;
  lock.unlock();
  database_.read([this](store::Connection& db) { pass(db); });
}

void JobWatch::pass(store::Connection& db) {
  std::set<JobId> jobs;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(dirty_);
  }
  for (const JobId& job : jobs) pass_job(db, job);
  std::unique_lock lock(mutex_);
  looking_ = false;
  if (!dirty_.empty()) look(lock);
}

void JobWatch::pass_job(store::Connection& db, JobId job) {
  const Result<JobHead> head = find_job_head(db, job);
  std::vector<JobWatcher> ready;
  {
    std::lock_guard lock(mutex_);
    bool wants_reasons = false;
    auto [entry, end] = entries_.equal_range(job);
    while (entry != end) {
      if (head && !holds(entry->second.watcher, *head)) {
        wants_reasons = wants_reasons || entry->second.watcher.version.has_value();
        ++entry;
        continue;
      }
      by_id_.erase(entry->second.id);
      ready.push_back(std::move(entry->second.watcher));
      entry = entries_.erase(entry);
    }
    if (wants_reasons && head && head->state == JobState::kQueued) {
      queued_.insert(job);
    } else {
      queued_.erase(job);
    }
  }
  if (ready.empty()) return;
  const Result<JobRecord> record = find_job(db, job);
  const std::string text = record ? to_text(job_json(db, *record)) : std::string();
  for (const JobWatcher& watcher : ready) watcher.call(record, text);
}

}  // namespace bcai::coordinator
