// SPDX-License-Identifier: Apache-2.0
#include "simulation/oracle.h"

#include <fmt/core.h>

#include <algorithm>

#include "coordinator/jobs/queries.h"
#include "coordinator/store/row.h"

namespace bcai::simulation {
namespace {

using store::bytes_at;
using store::optional_bytes_at;

bool next_row(store::Statement& rows) {
  const Result<bool> row = rows.step();
  BCAI_ASSERT(row);
  return *row;
}

}  // namespace

void Oracle::follow_job(JobId job, std::string_view word) {
  const Result<JobState> to = parse_job_state(word);
  if (!to) return;  // "job.cancel_requested" is no step
  const auto found = told_.jobs.find(job);
  if (found == told_.jobs.end()) {
    if (*to != JobState::kQueued) world_.wrong(job.text() + " begins as " + std::string(word));
  } else if (!may_become(found->second, *to)) {
    world_.wrong(fmt::format("{} went from {} to {}", job.text(), name(found->second), word));
  }
  told_.jobs[job] = *to;
  if (*to != JobState::kActive && *to != JobState::kVerifying) {
    world_.note(fmt::format("{} is {}", job.text(), word));
  }
}

void Oracle::follow_attempt(AttemptId attempt, std::string_view word) {
  const Result<AttemptState> to = parse_attempt_state(word);
  if (!to) return;
  const auto found = told_.attempts.find(attempt);
  if (found == told_.attempts.end()) {
    if (*to != AttemptState::kOffered) world_.wrong(attempt.text() + " begins as something else");
  } else if (!may_become(found->second, *to)) {
    world_.wrong(fmt::format("{} went from {} to {}", attempt.text(), name(found->second), word));
  }
  told_.attempts[attempt] = *to;
  world_.note(fmt::format("{} is {}", attempt.text(), word));
}

void Oracle::read_events() {
  store::Statement rows = db_.prepare(
      "SELECT e.job, e.sequence, e.attempt, e.kind, e.reason FROM jobs j JOIN job_events e"
      " ON e.job = j.id ORDER BY e.job, e.sequence");
  while (next_row(rows)) {
    const auto id = bytes_at<JobId>(rows, 0);
    Job& job = jobs_[id];
    if (rows.integer(1) <= job.events) continue;
    if (rows.integer(1) != job.events + 1) world_.wrong(id.text() + " has a gap in its events");
    job.events = rows.integer(1);
    const std::string_view kind = rows.text(3);
    if (rows.text(4).empty()) world_.wrong(id.text() + " has an event without a reason");
    if (kind.starts_with("job.")) follow_job(id, kind.substr(4));
    if (kind.starts_with("attempt.")) follow_attempt(bytes_at<AttemptId>(rows, 2), kind.substr(8));
  }
}

std::map<AttemptId, Oracle::Attempt> Oracle::read_attempts(std::map<JobId, std::string>& visible) {
  std::map<AttemptId, Attempt> attempts;
  store::Statement rows = db_.prepare(
      "SELECT id, job, epoch, state, deadline, reason, responsible, progress, reason_code, replica,"
      " node, commitment FROM attempts ORDER BY job, epoch");
  while (next_row(rows)) {
    const auto id = bytes_at<AttemptId>(rows, 0);
    Attempt attempt{.state = *parse_attempt_state(rows.text(3)),
                    .job = bytes_at<JobId>(rows, 1),
                    .epoch = rows.integer(2),
                    .is_live = !rows.is_null(4),
                    .replica = rows.integer(9),
                    .node = bytes_at<NodeId>(rows, 10),
                    .commitment = optional_bytes_at<Sha256>(rows, 11),
                    .code = std::string(rows.text(8))};
    if (attempt.is_live == is_terminal(attempt.state)) {
      world_.wrong(fmt::format("{} is {} and {} deadline", id.text(), name(attempt.state),
                               attempt.is_live ? "has a" : "has no"));
    }
    if (rows.text(5).empty()) world_.wrong(id.text() + " has no reason");
    if (attempt.is_live && rows.text(6).empty()) world_.wrong(id.text() + ": nobody acts next");
    if (!told_.attempts.contains(id) || told_.attempts.at(id) != attempt.state) {
      world_.wrong(id.text() + " changed its state without an event");
    }
    visible[attempt.job] += fmt::format("{} {} {};", rows.text(3), rows.text(5), rows.text(7));
    attempts[id] = std::move(attempt);
  }
  return attempts;
}

void Oracle::check_job(JobId id, const Job& job, int64_t max_retries) {
  const Job& before = jobs_[id];
  if (!told_.jobs.contains(id) || told_.jobs.at(id) != job.state) {
    world_.wrong(id.text() + " changed its state without an event");
  }
  if (job.version < before.version) world_.wrong(id.text() + ": its version went back");
  if (job.version == before.version && job.visible != before.visible) {
    world_.wrong(fmt::format("{} changed and its version did not:\n  {}\n  {}", id.text(),
                             before.visible, job.visible));
  }
  if (job.epoch < before.epoch) world_.wrong(id.text() + ": its epoch went back");
  if (job.epoch > max_retries + job.replicas) world_.wrong(id.text() + " was tried too often");
  if (before.published && before.published != job.published) {
    world_.wrong(id.text() + " has a second published result");
  }
}

void Oracle::check_attempts(const std::map<AttemptId, Attempt>& attempts) {
  std::map<JobId, std::map<AttemptId, Attempt>> of_job;
  for (const auto& [id, attempt] : attempts) of_job[attempt.job][id] = attempt;
  for (const auto& [id, job] : jobs_) check_live(id, job, of_job[id]);
}

// Of one job: each replica has at most one attempt alive, its newest, and those that are alive or
// gave the replica's answer lie on different nodes.
void Oracle::check_live(JobId id, const Job& job, const std::map<AttemptId, Attempt>& attempts) {
  std::map<int64_t, const Attempt*> newest;
  int live = 0;
  for (const auto& [attempt_id, attempt] : attempts) {
    const Attempt*& last = newest[attempt.replica];
    if (last == nullptr || last->epoch < attempt.epoch) last = &attempt;
    live += attempt.is_live ? 1 : 0;
    if (attempt.replica >= job.replicas) world_.wrong(attempt_id.text() + " is of no replica");
  }
  std::set<NodeId> nodes;
  int newest_live = 0;
  int holding = 0;
  for (const auto& [replica, attempt] : newest) {
    newest_live += attempt->is_live ? 1 : 0;
    if (!attempt->is_live && attempt->state != AttemptState::kCompleted) continue;
    holding += 1;
    nodes.insert(attempt->node);
  }
  if (newest_live != live) world_.wrong(id.text() + " has one alive that is not its newest");
  if (nodes.size() != static_cast<size_t>(holding)) {
    world_.wrong(id.text() + " has two replicas on one node");
  }
  const bool fits = job.state == JobState::kActive ? live >= 1 && live <= job.replicas : live == 0;
  if (!fits) {
    world_.wrong(fmt::format("{} is {} with {} live attempts", id.text(), name(job.state), live));
  }
}

void Oracle::check_ended(JobId id, const Job& job, const std::map<AttemptId, Attempt>& attempts) {
  if (!is_terminal(job.state)) return;
  const auto alive = truth_.alive.find(id);
  if (alive == truth_.alive.end()) return;
  for (AttemptId attempt : alive->second) {
    const auto known = attempts.find(attempt);
    // Two endings admit that the node may still be at it: an offer that was cancelled before the
    // node could have said anything, and a node that goes on whatever it is told.
    if (known != attempts.end() &&
        (known->second.code == "not_taken" || known->second.code == "overrun" ||
         known->second.code == "fenced")) {
      continue;
    }
    world_.wrong(
        fmt::format("{} is {}, and {} still runs", id.text(), name(job.state), attempt.text()));
  }
}

void Oracle::check_published(JobId id, const Job& job,
                             const std::map<AttemptId, Attempt>& attempts) {
  const auto shown = coordinator::find_result(db_, id);
  for (const auto& [attempt_id, attempt] : attempts) {
    if (!shown || shown->outputs.at("attempt").as_string() != attempt_id.text()) continue;
    if (attempt.state == AttemptState::kFenced || attempt.state == AttemptState::kLost) {
      world_.wrong(id.text() + " shows the result of an attempt that was given up");
    }
  }
  if (!job.published) {
    if (job.state == JobState::kSucceeded) world_.wrong(id.text() + " succeeded without a result");
    return;
  }
  const auto attempt = attempts.find(*job.published);
  const bool superseded = std::any_of(attempts.begin(), attempts.end(), [&](const auto& other) {
    return attempt != attempts.end() && other.second.job == id &&
           other.second.replica == attempt->second.replica &&
           other.second.epoch > attempt->second.epoch;
  });
  if (attempt == attempts.end() || attempt->second.job != id || superseded) {
    world_.wrong(id.text() + ": what is published is not of the newest epoch");
    return;
  }
  if (!shown || shown->outputs.at("attempt").as_string() != job.published->text()) {
    world_.wrong(id.text() + " shows another result than the published one");
  }
  if (job.state == JobState::kSucceeded && !truth_.finished_well.contains(*job.published)) {
    world_.wrong(id.text() + " succeeded, but its attempt did not");
  }
  // No two liars tell the same, so what replicas agree on, or the re-run confirms, is right.
  if (job.state == JobState::kSucceeded && job.replicas > 1 &&
      attempt->second.commitment != Truth::right_answer()) {
    world_.wrong(id.text() + " succeeded with a lie");
  }
}

void Oracle::after_step() {
  store::Statement row =
      db_.prepare("SELECT (SELECT count(*) FROM job_events), (SELECT sum(version) FROM jobs)");
  next_row(row);
  const std::pair changes{row.integer(0), row.integer(1)};
  if (changes == changes_ && ++steps_ % 16 != 0) return;
  changes_ = changes;
  check();
}

void Oracle::check() {
  read_events();
  std::map<JobId, std::string> visible;
  const auto attempts = read_attempts(visible);
  std::set<JobId> present;
  store::Statement rows = db_.prepare(
      "SELECT id, state, deadline, reason, responsible, version, epoch, published, desired,"
      " max_retries, reason_code, replicas, verification FROM jobs");
  while (next_row(rows)) {
    const auto id = bytes_at<JobId>(rows, 0);
    present.insert(id);
    Job job{.state = *parse_job_state(rows.text(1)),
            .version = rows.integer(5),
            .epoch = rows.integer(6),
            .events = jobs_[id].events,
            .replicas = rows.integer(11),
            .published = optional_bytes_at<AttemptId>(rows, 7),
            .visible = fmt::format("{} {} {} {} {} | {}", rows.text(1), rows.text(3), rows.text(8),
                                   rows.text(10), rows.text(12), visible[id])};
    const bool waits = !rows.is_null(2) && !rows.text(4).empty();
    if (waits == is_terminal(job.state)) {
      world_.wrong(fmt::format("{} is {}: deadline or owner is wrong", id.text(), name(job.state)));
    }
    if (rows.text(3).empty()) world_.wrong(id.text() + " has no reason");
    check_job(id, job, rows.integer(9));
    const bool changed = job.version != jobs_[id].version;
    jobs_[id] = std::move(job);
    check_ended(id, jobs_[id], attempts);
    if (changed) check_published(id, jobs_[id], attempts);
  }
  check_attempts(attempts);
  for (JobId id : accepted_) {
    if (!present.contains(id)) world_.wrong(id.text() + " was accepted and is gone");
  }
}

bool Oracle::every_job_ended() const {
  return std::all_of(jobs_.begin(), jobs_.end(),
                     [](const auto& job) { return is_terminal(job.second.state); });
}

bool Oracle::every_job_ended_or_is_held() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& job) {
    return is_terminal(job.second.state) || job.second.state == JobState::kHeld;
  });
}

std::set<JobId> Oracle::held() const {
  std::set<JobId> ids;
  for (const auto& [id, job] : jobs_) {
    if (job.state == JobState::kHeld) ids.insert(id);
  }
  return ids;
}

std::string Oracle::summary() const {
  std::map<std::string_view, int> counts;
  int64_t attempts = 0;
  for (const auto& [id, job] : jobs_) {
    counts[name(job.state)] += 1;
    attempts += job.epoch;
  }
  std::string out = fmt::format("{} attempts", attempts);
  for (const auto& [state, count] : counts) out += fmt::format(", {} {}", count, state);
  return out;
}

}  // namespace bcai::simulation
