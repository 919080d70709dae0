// SPDX-License-Identifier: Apache-2.0
#include "simulation/node_model.h"

#include <fmt/core.h>

#include <vector>

namespace bcai::simulation {
namespace {

constexpr Millis kTick{1'000};
constexpr Millis kHeartbeat{5'000};
constexpr Millis kRequestTimeout{10'000};
constexpr Millis kPollTimeout{45'000};
constexpr int64_t kMarginMs = 15'000;

constexpr int64_t kMemory = 1'000'000'000;

}  // namespace

NodeModel::NodeModel(World& world, Truth& truth, CoordinatorModel& coordinator, int peer,
                     NodeHabits habits, KeyId operator_key)
    : world_(world),
      truth_(truth),
      coordinator_(coordinator),
      peer_(peer),
      habits_(habits),
      operator_key_(operator_key) {
  registration_.name = fmt::format("node{}", peer);
  world.random.fill(registration_.public_key);
  registration_.capabilities = {.cpu_millicores = 1000 * habits.slots,
                                .memory_bytes = kMemory * habits.slots,
                                .disk_bytes = kMemory * habits.slots,
                                .slots = habits.slots,
                                .strangers = true};
}

void NodeModel::later(Millis delay, std::function<void()> action) {
  world_.after(delay, [this, life = life_, action = std::move(action)] {
    if (life == life_ && up_) action();
  });
}

void NodeModel::reply(std::function<void()> deliver) {
  world_.send(peer_, [this, life = life_, deliver = std::move(deliver)] {
    if (life == life_ && up_) deliver();
  });
}

void NodeModel::boot() {
  up_ = true;
  life_ += 1;
  token_.reset();
  world_.note(name() + " starts");
  enter();
  watch_lease();
  later(world_.between(0, 5'000), [this] { beat_again(); });
  later(Millis(500), [this] { deliver_results(); });
}

void NodeModel::crash() {
  if (!up_) return;
  const bool keeps_disk = world_.chance(0.6);
  world_.note(name() + (keeps_disk ? " crashes" : " crashes and loses its disk"));
  up_ = false;
  life_ += 1;
  std::vector<AttemptId> gone;
  for (auto& [id, attempt] : attempts_) {
    if (!attempt.result) truth_.ended(attempt.lease.job, id);
    if (attempt.result && keeps_disk) continue;
    // What ran is swept at the next start: told as a failure of the node, or just not held.
    if (!attempt.result && keeps_disk && world_.chance(0.5)) {
      attempt.result = result_of(id, Outcome::kNodeFailure, 0);
      continue;
    }
    gone.push_back(id);
  }
  for (AttemptId id : gone) attempts_.erase(id);
  world_.after(world_.chance(0.2) ? world_.between(60'000, 240'000) : world_.between(100, 10'000),
               [this] { boot(); });
}

void NodeModel::enter() {
  const uint64_t request = ++request_;
  const int64_t sent_at = world_.now();
  world_.send(peer_, [this, request, sent_at] {
    const auto answer = coordinator_.enter(registration_, operator_key_);
    if (!answer || !*answer) return;
    reply([this, request, sent_at, token = (*answer)->token] {
      if (request != request_ || token_) return;
      token_ = token;
      sequence_ = 0;
      // Only heartbeats prolong leases; a node that runs nothing has none to prolong.
      if (free().slots == habits_.slots) {
        last_acknowledged_ = std::max(last_acknowledged_, sent_at);
      }
      beat();
      ask_for_work();
    });
  });
  later(kRequestTimeout, [this, request] {
    if (request == request_ && !token_) enter();
  });
}

Capacity NodeModel::free() const {
  int running = 0;
  for (const auto& [id, attempt] : attempts_) running += attempt.result ? 0 : 1;
  const int slots = habits_.slots - running;
  return {.cpu_millicores = 1000 * slots,
          .memory_bytes = kMemory * slots,
          .disk_bytes = kMemory * slots,
          .gpu_count = 0,
          .slots = slots};
}

void NodeModel::ask_for_work() {
  if (!token_) return;
  const uint64_t request = ++request_;
  if (free().slots == 0) {
    later(Millis(500), [this, request] {
      if (request == request_) ask_for_work();
    });
    return;
  }
  CoordinatorModel::Poll poll{.free = free(), .held = {}, .answer = {}};
  for (const auto& [id, attempt] : attempts_) poll.held.push_back(id);
  poll.answer = [this, request](Result<std::vector<Lease>> leases) {
    reply([this, request, leases = std::move(leases)] {
      // An answer to a request that was given up is not read.
      if (request != request_) return;
      if (!leases) {
        token_.reset();
        enter();
        return;
      }
      for (const Lease& lease : *leases) take(lease);
      ask_for_work();
    });
  };
  world_.send(peer_,
              [this, token = *token_, poll = std::move(poll)] { coordinator_.poll(token, poll); });
  later(kPollTimeout, [this, request] {
    if (request == request_ && token_) ask_for_work();
  });
}

bool NodeModel::lease_has_run_out() const {
  const int64_t limit = coordinator_.timing.lost_after.count() - kMarginMs;
  return world_.now() - last_acknowledged_ >= limit;
}

void NodeModel::take(const Lease& lease) {
  if (attempts_.contains(lease.attempt) || free().slots == 0 || lease_has_run_out()) return;
  world_.note(name() + " takes " + lease.attempt.text());
  attempts_[lease.attempt] = {.lease = lease};
  truth_.started(lease.job, lease.attempt);
  later(world_.between(0, 3'000), [this, id = lease.attempt] { advance(id); });
}

void NodeModel::advance(AttemptId id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end() || found->second.result) return;
  Attempt& attempt = found->second;
  if (attempt.state != AttemptState::kRunning) {
    attempt.state = world_.chance(0.3) && attempt.state == AttemptState::kLeased
                        ? AttemptState::kStaging
                        : AttemptState::kRunning;
    later(world_.chance(0.3) ? world_.between(20'000, 150'000) : world_.between(50, 15'000),
          [this, id] { advance(id); });
    return;
  }
  attempt.progress += 0.5;
  if (attempt.progress < 1) {
    later(world_.between(50, 15'000), [this, id] { advance(id); });
    return;
  }
  if (world_.chance(habits_.fails)) {
    finish(id, result_of(id, Outcome::kNodeFailure, 0));
  } else if (world_.chance(0.15)) {
    finish(id, result_of(id, world_.chance(0.5) ? Outcome::kOutOfMemory : Outcome::kFinished, 1));
  } else {
    truth_.finished_well.insert(id);
    finish(id, result_of(id, Outcome::kFinished, 0));
  }
}

AttemptResult NodeModel::result_of(AttemptId id, Outcome outcome, int exit_code) {
  AttemptResult result;
  result.outcome = outcome;
  result.exit_code = exit_code;
  result.outputs["attempt"] = id.text();
  const bool finished = outcome == Outcome::kFinished && exit_code == 0;
  if (finished && !attempts_.at(id).lease.spec.program.empty()) {
    result.commitment = habits_.lies ? Sha256::of(name()) : Truth::right_answer();
  }
  return result;
}

void NodeModel::finish(AttemptId id, AttemptResult result) {
  Attempt& attempt = attempts_.at(id);
  world_.note(fmt::format("{} ends {}: {}", name(), id.text(), bcai::name(result.outcome)));
  attempt.result = std::move(result);
  attempt.state = AttemptState::kUploading;
  truth_.ended(attempt.lease.job, id);
}

void NodeModel::drop(AttemptId id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return;
  world_.note(name() + " drops " + id.text());
  if (!found->second.result) truth_.ended(found->second.lease.job, id);
  attempts_.erase(found);
}

void NodeModel::beat_again() {
  beat();
  later(kHeartbeat + world_.between(-500, 500), [this] { beat_again(); });
}

void NodeModel::beat() {
  if (!token_) return;
  Heartbeat heartbeat{.sequence = ++sequence_, .free = free(), .attempts = {}};
  for (const auto& [id, attempt] : attempts_) {
    heartbeat.attempts.push_back({.attempt = id,
                                  .epoch = attempt.lease.epoch,
                                  .state = attempt.state,
                                  .progress = {.fraction = attempt.progress}});
  }
  world_.send(peer_, [this, token = *token_, sent_at = world_.now(), heartbeat] {
    const auto answer = coordinator_.heartbeat(token, heartbeat);
    if (!answer) return;
    reply([this, token, sent_at, outcome = *answer] {
      if (outcome) {
        hear(*outcome, sent_at);
      } else if (token_ && *token_ == token) {
        token_.reset();
        enter();
      }
    });
  });
}

void NodeModel::hear(const HeartbeatReply& reply, int64_t sent_at) {
  last_acknowledged_ = std::max(last_acknowledged_, sent_at);
  for (const HeartbeatReply::Item& item : reply.attempts) {
    if (item.action == LeaseAction::kFence) drop(item.attempt);
    if (item.action != LeaseAction::kCancel || habits_.stubborn) continue;
    const auto found = attempts_.find(item.attempt);
    if (found == attempts_.end() || found->second.result) continue;
    finish(item.attempt, result_of(item.attempt, Outcome::kCancelled, 0));
  }
}

void NodeModel::deliver_results() {
  for (const auto& [id, attempt] : attempts_) {
    if (!attempt.result || !token_) continue;
    world_.send(peer_, [this, token = *token_, id = id, epoch = attempt.lease.epoch,
                        result = *attempt.result] {
      const auto answer = coordinator_.complete(token, id, epoch, result);
      if (!answer || !*answer) return;
      reply([this, id = id] { drop(id); });
    });
  }
  later(Millis(3'000), [this] { deliver_results(); });
}

void NodeModel::watch_lease() {
  if (lease_has_run_out()) {
    std::vector<AttemptId> running;
    for (const auto& [id, attempt] : attempts_) {
      if (!attempt.result) running.push_back(id);
    }
    for (AttemptId id : running) {
      world_.note(name() + " was not heard and ends " + id.text());
      if (world_.chance(0.5)) {
        finish(id, result_of(id, Outcome::kNodeFailure, 0));
      } else {
        drop(id);
      }
    }
  }
  later(kTick, [this] { watch_lease(); });
}

}  // namespace bcai::simulation
