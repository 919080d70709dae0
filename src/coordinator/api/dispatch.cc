// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/dispatch.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "coordinator/api/answer.h"
#include "coordinator/jobs/job_head.h"

namespace bcai::coordinator {
namespace {

// Rounds that can place nothing only renew the reasons of waiting jobs; so often is enough.
constexpr Millis kIdleRound{200};
constexpr Millis kReconcileMax{60'000};
// A poll that does not want to wait stays at least for the round that it begins.
constexpr Millis kRoundTime{50};

net::Response leases_response(const std::vector<Lease>& leases) {
  json::array list;
  for (const Lease& lease : leases) list.push_back(encode(lease));
  return json_response(200, json::object{{"leases", std::move(list)}});
}

struct Round {
  std::vector<Grant> grants;
  std::vector<Millis> waited;
};

}  // namespace

void Dispatch::start() { reconcile_now(); }

size_t Dispatch::waiting() const {
  std::lock_guard lock(mutex_);
  return parked_.size();
}

void Dispatch::poll(LeasePoll poll) {
  const NodeId node = poll.node;
  const std::optional<net::Reply> earlier = take_parked(node, 0);
  uint64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    id = next_id_++;
    const Millis wait = std::max(poll.wait, kRoundTime);
    const uint64_t timer = options_.timer.after(wait, [this, node, id] {
      if (const auto reply = take_parked(node, id)) reply->send(leases_response({}));
    });
    parked_.insert_or_assign(node, Parked{.id = id,
                                          .free = poll.free,
                                          .held = std::move(poll.held),
                                          .reply = poll.reply,
                                          .timer = timer});
  }
  if (earlier) earlier->send(leases_response({}));
  poll.reply.on_peer_gone([this, node, id] { take_parked(node, id); });
  kick();
}

// The parked poll of a node, whichever it is when `id` is 0.
std::optional<net::Reply> Dispatch::take_parked(NodeId node, uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = parked_.find(node);
  if (found == parked_.end() || (id != 0 && found->second.id != id)) return std::nullopt;
  std::optional<net::Reply> reply = std::move(found->second.reply);
  options_.timer.cancel(found->second.timer);
  parked_.erase(found);
  return reply;
}

void Dispatch::nudge(NodeId node) {
  if (const auto reply = take_parked(node, 0)) {
    reply->send(json_response(200, json::object{{"leases", json::array()}, {"heartbeat", true}}));
  }
}

void Dispatch::kick() {
  {
    std::lock_guard lock(mutex_);
    if (round_pending_) {
      again_ = true;
      return;
    }
    const Millis since = options_.clock.now() - last_round_;
    if (parked_.empty() && since < kIdleRound) {
      if (kick_later_) return;
      kick_later_ = true;
      options_.timer.after(kIdleRound - since, [this] {
        {
          std::lock_guard relock(mutex_);
          kick_later_ = false;
        }
        kick();
      });
      return;
    }
    round_pending_ = true;
  }
  begin_round();
}

std::vector<Waiting> Dispatch::snapshot() const {
  std::lock_guard lock(mutex_);
  std::vector<Waiting> waiting;
  waiting.reserve(parked_.size());
  for (const auto& [node, parked] : parked_) {
    waiting.push_back({.node = node, .free = parked.free, .held = parked.held});
  }
  return waiting;
}

void Dispatch::begin_round() {
  auto round = std::make_shared<Round>();
  const auto work = [this, round](store::Connection& db) -> Result<void> {
    round->grants.clear();
    round->waited.clear();
    BCAI_TRY_ASSIGN(const bool any, has_work_for_nodes(db));
    if (!any) return {};
    const WallTime now = options_.clock.wall();
    BCAI_TRY_ASSIGN(round->grants, schedule(db, now, options_.random, snapshot(), options_.timing));
    for (const Grant& grant : round->grants) {
      BCAI_TRY_ASSIGN(const JobHead head, find_job_head(db, grant.lease.job));
      round->waited.push_back(now - head.created_at);
    }
    return {};
  };
  options_.database.write(work, [this, round](Result<void> done) {
    if (!done) {
      log_event(LogLevel::kError, "schedule.failed", {{"error", done.error().message}});
      round->grants.clear();
    }
    deliver(round->grants);
    if (done && options_.on_lease) {
      for (const Millis waited : round->waited) options_.on_lease(waited);
    }
    options_.watch.queued_changed();
    bool again = false;
    {
      std::lock_guard lock(mutex_);
      round_pending_ = false;
      last_round_ = options_.clock.now();
      again = std::exchange(again_, false);
    }
    if (again) kick();
  });
}

void Dispatch::deliver(const std::vector<Grant>& grants) {
  if (grants.empty()) return;
  std::map<NodeId, std::vector<Lease>> by_node;
  std::vector<JobId> jobs;
  for (const Grant& grant : grants) {
    by_node[grant.node].push_back(grant.lease);
    jobs.push_back(grant.lease.job);
  }
  std::vector<std::pair<net::Reply, std::vector<Lease>>> answers;
  {
    std::lock_guard lock(mutex_);
    for (auto& [node, leases] : by_node) {
      const auto found = parked_.find(node);
      if (found == parked_.end()) continue;
      options_.timer.cancel(found->second.timer);
      answers.emplace_back(found->second.reply, std::move(leases));
      parked_.erase(found);
    }
  }
  for (const auto& [reply, leases] : answers) reply.send(leases_response(leases));
  options_.watch.changed(jobs);
  deadline_within(options_.timing.offer_ttl);
}

void Dispatch::deadline_within(Millis delay) {
  delay = std::clamp(delay, Millis{1}, kReconcileMax);
  std::lock_guard lock(mutex_);
  const Instant at = options_.clock.now() + delay;
  if (at >= reconcile_at_) return;
  options_.timer.cancel(reconcile_timer_);
  reconcile_at_ = at;
  reconcile_timer_ = options_.timer.after(delay, [this] { reconcile_now(); });
}

void Dispatch::reconcile_now() {
  {
    std::lock_guard lock(mutex_);
    options_.timer.cancel(reconcile_timer_);
    reconcile_at_ = Instant{INT64_MAX};
  }
  auto outcome = std::make_shared<Reconciled>();
  options_.database.write(
      [this, outcome](store::Connection& db) -> Result<void> {
        BCAI_TRY_ASSIGN(*outcome, reconcile(db, options_.clock.wall(), options_.timing));
        return {};
      },
      [this, outcome](Result<void> done) {
        if (!done) {
          log_event(LogLevel::kError, "reconcile.failed", {{"error", done.error().message}});
          deadline_within(Millis{1'000});
          return;
        }
        deadline_within(outcome->next - options_.clock.wall());
        if (outcome->changed.empty()) return;
        options_.watch.changed(outcome->changed);
        if (options_.on_reconciled) options_.on_reconciled();
        kick();
      });
}

}  // namespace bcai::coordinator
