// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/stored_text.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/scheduler/fit.h"
#include "coordinator/scheduler/scheduler.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;
using store::time_at;

// A round looks at this much of the queue: of each owner and shape (what it asks of a node) the
// oldest. Jobs behind them cannot go before them, and wait for the same.
constexpr size_t kOwnersMax = 512;
constexpr size_t kGroupsMax = 128;
constexpr size_t kJobsMax = 500;
constexpr size_t kJobsOfGroupMax = 500;

// A node that asks for work and never takes what it is handed gets it no more after this.
constexpr Millis kOfferedAtMost{600'000};
constexpr int64_t kOffersAtOnce = 5;  // then not before offer_ttl, so that it cannot spin

struct Group {
  KeyId owner;
  int64_t shape = 0;
};

struct Node {
  NodeId id;
  std::string name;
  KeyId operator_key;
  bool silent = false;
  std::shared_ptr<const Capabilities> capabilities;
};

struct Window {
  std::vector<QueuedJob> jobs;
  std::map<int64_t, JobSpec> specs;                              // by shape; jobs point into it
  std::map<JobId, std::pair<std::string, std::string>> reasons;  // as stored: code, sentence
};

Result<std::vector<Node>> load_nodes(store::Connection& db, WallTime now, const Timing& timing) {
  std::vector<Node> nodes;
  store::Statement rows = db.prepare(
      "SELECT id, name, operator, capabilities_digest, capabilities, last_seen FROM nodes"
      " WHERE last_seen > ? ORDER BY id");
  rows.bind(now.ms - timing.lost_after.count());
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return nodes;
    BCAI_TRY_ASSIGN(auto capabilities, capabilities_at(rows, 3, 4));
    nodes.push_back({.id = bytes_at<NodeId>(rows, 0),
                     .name = std::string(rows.text(1)),
                     .operator_key = bytes_at<KeyId>(rows, 2),
                     .silent = rows.integer(5) <= now.ms - timing.unknown_after.count(),
                     .capabilities = std::move(capabilities)});
  }
}

Result<std::vector<KeyId>> load_owners(store::Connection& db) {
  std::vector<KeyId> owners;
  std::string last;
  while (owners.size() < kOwnersMax) {
    // Each step is one look into the index, however many jobs an owner has.
    store::Statement row = db.prepare(
        "SELECT owner FROM jobs INDEXED BY jobs_queued WHERE state = 'queued' AND owner > ?"
        " ORDER BY owner LIMIT 1");
    BCAI_TRY_ASSIGN(const bool found, row.bind_blob(last).step());
    if (!found) break;
    owners.push_back(bytes_at<KeyId>(row, 0));
    last = row.blob(0);
  }
  return owners;
}

// The shapes of an owner's queued jobs; of very many, those that follow a random one.
Result<void> add_groups(store::Connection& db, KeyId owner, int64_t start, size_t count_max,
                        std::vector<Group>& groups) {
  const size_t count_before = groups.size();
  std::set<int64_t> seen;
  for (int64_t after : {start, INT64_MIN}) {
    while (groups.size() - count_before < count_max) {
      store::Statement row = db.prepare(
          "SELECT shape FROM jobs WHERE state = 'queued' AND owner = ? AND shape > ?"
          " ORDER BY shape LIMIT 1");
      BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(owner)).bind(after).step());
      if (!found) break;
      after = row.integer(0);
      if (!seen.insert(after).second) break;
      groups.push_back({.owner = owner, .shape = after});
    }
  }
  return {};
}

// What earlier attempts mean for the next: the nodes that failed, and of several replicas those
// that have answered and where.
Result<void> note_earlier(store::Connection& db, QueuedJob& job) {
  store::Statement rows =
      db.prepare("SELECT DISTINCT node, failure = 'infra' FROM attempts WHERE job = ?");
  rows.bind_blob(bytes_of(job.id));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return {};
    if (rows.integer(1) != 0) {
      job.failed_on.push_back(bytes_at<NodeId>(rows, 0));
    } else if (job.spec->replicas > 1) {
      job.taken.push_back(bytes_at<NodeId>(rows, 0));
      job.attempts_wanted -= 1;
    }
  }
}

Result<void> add_jobs(store::Connection& db, const Group& group, size_t count_max, int running,
                      Window& window) {
  store::Statement rows = db.prepare(
      "SELECT id, created_at, epoch, reason_code, reason, needs FROM jobs WHERE state = 'queued'"
      " AND owner = ? AND shape = ? ORDER BY created_at, id LIMIT ?");
  rows.bind_blob(bytes_of(group.owner)).bind(group.shape).bind(static_cast<int64_t>(count_max));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return {};
    auto spec = window.specs.find(group.shape);
    if (spec == window.specs.end()) {
      BCAI_TRY_ASSIGN(JobSpec needs, needs_of(rows.text(5)));
      spec = window.specs.emplace(group.shape, std::move(needs)).first;
    }
    QueuedJob job{.id = bytes_at<JobId>(rows, 0),
                  .owner = group.owner,
                  .spec = &spec->second,
                  .queued_at = time_at(rows, 1),
                  .failed_on = {},
                  .attempts_wanted = spec->second.replicas,
                  .taken = {},
                  .running_of_owner = running};
    if (rows.integer(2) > 0) BCAI_TRY(note_earlier(db, job));
    window.reasons[job.id] = {std::string(rows.text(3)), std::string(rows.text(4))};
    window.jobs.push_back(std::move(job));
  }
}

Result<std::map<KeyId, int>> load_running(store::Connection& db) {
  std::map<KeyId, int> running;
  store::Statement rows = db.prepare(
      "SELECT owner, count(*) FROM jobs INDEXED BY jobs_active WHERE state = 'active'"
      " GROUP BY owner");
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return running;
    running[bytes_at<KeyId>(rows, 0)] = static_cast<int>(rows.integer(1));
  }
}

Result<void> load_window(store::Connection& db, uint64_t seed, Window& window) {
  BCAI_TRY_ASSIGN(const std::vector<KeyId> owners, load_owners(db));
  if (owners.empty()) return {};
  BCAI_TRY_ASSIGN(const auto running, load_running(db));
  std::vector<Group> groups;
  const size_t of_owner = std::max<size_t>(1, kGroupsMax / owners.size());
  for (const KeyId owner : owners) {
    BCAI_TRY(add_groups(db, owner, static_cast<int64_t>(seed), of_owner, groups));
  }
  const size_t of_group = std::clamp<size_t>(kJobsMax / groups.size(), 4, kJobsOfGroupMax);
  for (const Group& group : groups) {
    const auto found = running.find(group.owner);
    BCAI_TRY(add_jobs(db, group, of_group, found == running.end() ? 0 : found->second, window));
  }
  return {};
}

// --- granting ---

Result<Lease> lease_of(store::Connection& db, JobId job, AttemptId attempt, int64_t epoch,
                       const Timing& timing) {
  store::Statement row = db.prepare("SELECT spec, code, owner FROM jobs WHERE id = ?");
  BCAI_TRY(row.bind_blob(bytes_of(job)).step());
  BCAI_TRY_ASSIGN(JobSpec spec, spec_of(row.text(0), row.text(1)));
  return Lease{.attempt = attempt,
               .job = job,
               .epoch = epoch,
               .lost_after_ms = timing.lost_after.count(),
               .tenant = bytes_at<KeyId>(row, 2).text(),
               .spec = std::move(spec)};
}

// The replicas that no attempt of the job runs or has answered.
Result<std::vector<int>> open_replicas(store::Connection& db, JobId job) {
  store::Statement wanted = db.prepare("SELECT replicas FROM jobs WHERE id = ?");
  BCAI_TRY(wanted.bind_blob(bytes_of(job)).step());
  std::set<int64_t> taken;
  store::Statement rows =
      db.prepare("SELECT replica FROM attempts WHERE job = ? AND failure <> 'infra'");
  rows.bind_blob(bytes_of(job));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) break;
    taken.insert(rows.integer(0));
  }
  std::vector<int> open;
  for (int replica = 0; replica < wanted.integer(0); ++replica) {
    if (!taken.contains(replica)) open.push_back(replica);
  }
  return open;
}

// One attempt of a queued job, which the caller settles.
Result<Grant> grant(store::Connection& db, WallTime now, Random& random, JobId job, int replica,
                    const Node& node, const Timing& timing) {
  BCAI_TRY_ASSIGN(const int64_t changed,
                  db.prepare("UPDATE jobs SET epoch = epoch + 1 WHERE id = ? AND state = 'queued'")
                      .bind_blob(bytes_of(job))
                      .run());
  BCAI_ASSERT(changed == 1);  // it was queued when this transaction read it
  store::Statement epoch = db.prepare("SELECT epoch FROM jobs WHERE id = ?");
  BCAI_TRY(epoch.bind_blob(bytes_of(job)).step());
  const AttemptId attempt = AttemptId::make(now, random);
  BCAI_TRY_ASSIGN(Lease lease, lease_of(db, job, attempt, epoch.integer(0), timing));
  const std::string reason = fmt::format("offered to {}", node.name);
  const WallTime deadline = now + timing.lost_after;
  store::Statement insert = db.prepare(
      "INSERT INTO attempts (id, job, node, epoch, state, desired, failure, responsible, deadline,"
      " heard_at, offered_at, offers, reason_code, reason, created_at, progress, replica)"
      " VALUES (?1, ?2, ?3, ?4, 'offered', 'run', '', 'node', ?5, ?6, ?6, 1, 'offered', ?7, ?6, "
      "?8, ?9)");
  insert.bind_blob(bytes_of(attempt)).bind_blob(bytes_of(job)).bind_blob(bytes_of(node.id));
  insert.bind(lease.epoch).bind(deadline.ms).bind(now.ms).bind(reason);
  BCAI_TRY(insert.bind(to_text(encode(Progress{}))).bind(replica).run());
  BCAI_TRY(add_event(db, now, job, attempt, "attempt.offered",
                     {.actor = "scheduler", .code = "offered", .reason = reason}));
  return Grant{.node = node.id, .lease = std::move(lease)};
}

struct Offer {
  AttemptId attempt;
  JobId job;
  WallTime offered_at;
  int64_t offers = 0;
  int64_t epoch = 0;
};

Result<std::vector<Offer>> open_offers(store::Connection& db, WallTime now, NodeId node) {
  std::vector<Offer> offers;
  store::Statement rows = db.prepare(
      "SELECT id, job, offered_at, offers, epoch FROM attempts WHERE state = 'offered' AND node = ?"
      " AND desired = 'run' AND created_at > ? ORDER BY created_at, id");
  rows.bind_blob(bytes_of(node)).bind(now.ms - kOfferedAtMost.count());
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return offers;
    offers.push_back({.attempt = bytes_at<AttemptId>(rows, 0),
                      .job = bytes_at<JobId>(rows, 1),
                      .offered_at = time_at(rows, 2),
                      .offers = rows.integer(3),
                      .epoch = rows.integer(4)});
  }
}

// Granted before, and not there: sent again. A node that does not tell what it holds gets an offer
// again when it should long have named it in a heartbeat.
Result<void> grant_again(store::Connection& db, WallTime now, const Waiting& waiting,
                         const Timing& timing, Capacity& free, std::vector<Grant>& grants) {
  BCAI_TRY_ASSIGN(const std::vector<Offer> offers, open_offers(db, now, waiting.node));
  for (const Offer& offer : offers) {
    const bool overdue = now - offer.offered_at >= timing.offer_ttl;
    const bool missing = waiting.held ? std::find(waiting.held->begin(), waiting.held->end(),
                                                  offer.attempt) == waiting.held->end()
                                      : overdue;
    if (!missing || (offer.offers >= kOffersAtOnce && !overdue)) continue;
    BCAI_TRY_ASSIGN(Lease lease, lease_of(db, offer.job, offer.attempt, offer.epoch, timing));
    if (!has_room(free, lease.spec.hardware)) continue;
    // It is on its way from now, and given up no sooner than one that is new.
    BCAI_TRY(db.prepare("UPDATE attempts SET offered_at = ?1, offers = offers + 1, heard_at = ?1,"
                        " deadline = ?2"
                        " WHERE id = ?3")
                 .bind(now.ms)
                 .bind((now + timing.lost_after).ms)
                 .bind_blob(bytes_of(offer.attempt))
                 .run());
    take_room(free, lease.spec.hardware);
    grants.push_back({.node = waiting.node, .lease = std::move(lease)});
  }
  return {};
}

Result<void> write_reasons(store::Connection& db, const Plan& plan, const Window& window) {
  for (const WaitReason& reason : plan.waiting) {
    const auto& [code, sentence] = window.reasons.at(reason.job);
    if (code == reason.code && sentence == reason.sentence) continue;
    BCAI_TRY(db.prepare("UPDATE jobs SET reason_code = ?, reason = ?, version = version + 1"
                        " WHERE id = ? AND state = 'queued'")
                 .bind(reason.code)
                 .bind(reason.sentence)
                 .bind_blob(bytes_of(reason.job))
                 .run());
  }
  return {};
}

}  // namespace

Result<std::vector<Grant>> schedule(store::Connection& db, WallTime now, Random& random,
                                    const std::vector<Waiting>& waiting, const Timing& timing) {
  std::vector<Grant> grants;
  BCAI_TRY_ASSIGN(const std::vector<Node> nodes, load_nodes(db, now, timing));
  std::map<NodeId, Capacity> free;
  for (const Waiting& node : waiting) {
    Capacity& left = free.emplace(node.node, node.free).first->second;
    BCAI_TRY(grant_again(db, now, node, timing, left, grants));
  }
  const uint64_t seed = random.next();
  Window window;
  BCAI_TRY(load_window(db, seed, window));
  if (window.jobs.empty()) return grants;

  std::vector<SchedulableNode> snapshot;
  std::map<NodeId, const Node*> by_id;
  for (const Node& node : nodes) {
    const auto found = free.find(node.id);
    const bool waits = found != free.end();
    snapshot.push_back({.id = node.id,
                        .capabilities = node.capabilities.get(),
                        .operator_key = node.operator_key,
                        .free = waits ? found->second : Capacity{},
                        .waiting = waits,
                        .silent = node.silent});
    by_id[node.id] = &node;
  }
  const Plan made = plan(window.jobs, snapshot, seed);
  for (size_t i = 0; i < made.placements.size();) {
    const JobId job = made.placements[i].job;
    BCAI_TRY_ASSIGN(const std::vector<int> replicas, open_replicas(db, job));
    for (const int replica : replicas) {
      BCAI_ASSERT(i < made.placements.size() && made.placements[i].job == job);
      const Node& node = *by_id.at(made.placements[i++].node);
      BCAI_TRY_ASSIGN(Grant granted, grant(db, now, random, job, replica, node, timing));
      grants.push_back(std::move(granted));
    }
    BCAI_TRY(settle(db, now, job, "scheduler"));
  }
  BCAI_TRY(write_reasons(db, made, window));
  return grants;
}

}  // namespace bcai::coordinator
