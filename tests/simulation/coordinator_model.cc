// SPDX-License-Identifier: Apache-2.0
#include "simulation/coordinator_model.h"

#include "coordinator/store/sessions.h"
#include "simulation/truth.h"

namespace bcai::simulation {
namespace {

using coordinator::Grant;
using coordinator::Waiting;

constexpr double kCrash = 0.002;  // of each transaction
constexpr Millis kPollWait{30'000};

}  // namespace

CoordinatorModel::CoordinatorModel(World& world, store::Connection& db,
                                   std::function<void()> after_step)
    : world_(world), db_(db), after_step_(std::move(after_step)) {
  run_reconciler();
}

template <typename T>
CoordinatorModel::Answer<T> CoordinatorModel::transact(
    const std::function<Result<T>(store::Connection&)>& work) {
  if (!up_) return std::nullopt;
  BCAI_ASSERT(db_.execute("SAVEPOINT step"));
  Result<T> outcome = work(db_);
  const bool dies_before = world_.fault(kCrash);
  if (!outcome || dies_before) BCAI_ASSERT(db_.execute("ROLLBACK TO step"));
  BCAI_ASSERT(db_.execute("RELEASE step"));
  if (dies_before) {
    crash();
    return std::nullopt;
  }
  if (!outcome && outcome.error().code == ErrorCode::kInternal) {
    world_.wrong("internal error: " + outcome.error().message);
  }
  if (outcome) after_step_();
  if (world_.fault(kCrash)) {
    crash();
    return std::nullopt;
  }
  return outcome;
}

Result<NodeId> CoordinatorModel::node_of(const Token& token) {
  const auto session = store::find_session(db_, token);
  if (session) return session->node;
  return error(ErrorCode::kUnauthenticated, "no such session");
}

CoordinatorModel::Answer<coordinator::Submitted> CoordinatorModel::submit(
    const coordinator::Submission& submission) {
  const auto answer = transact<coordinator::Submitted>(
      [&](store::Connection& db) { return coordinator::submit(db, world_.wall(), submission); });
  if (answer && *answer) run_scheduler();
  return answer;
}

CoordinatorModel::Answer<void> CoordinatorModel::cancel(JobId job) {
  return transact<void>(
      [&](store::Connection& db) { return coordinator::cancel(db, world_.wall(), job, "user"); });
}

CoordinatorModel::Answer<CoordinatorModel::Registered> CoordinatorModel::enter(
    const NodeRegistration& registration, KeyId operator_key) {
  return transact<Registered>([&](store::Connection& db) -> Result<Registered> {
    BCAI_TRY_ASSIGN(const NodeId node, coordinator::register_node(db, world_.wall(), world_.random,
                                                                  registration, operator_key));
    Registered registered{.node = node, .token = {}};
    world_.random.fill(registered.token.bytes);
    BCAI_TRY(store::begin_session(db, {.token_hash = registered.token,
                                       .node = node,
                                       .key = operator_key,
                                       .created_at = world_.wall()}));
    return registered;
  });
}

CoordinatorModel::Answer<HeartbeatReply> CoordinatorModel::heartbeat(const Token& token,
                                                                     const Heartbeat& heartbeat) {
  return transact<HeartbeatReply>([&](store::Connection& db) -> Result<HeartbeatReply> {
    BCAI_TRY_ASSIGN(const NodeId node, node_of(token));
    return coordinator::heartbeat(db, world_.wall(), node, heartbeat, timing);
  });
}

CoordinatorModel::Answer<coordinator::Completion> CoordinatorModel::complete(
    const Token& token, AttemptId attempt, int64_t epoch, const AttemptResult& result) {
  auto answer = transact<coordinator::Completion>(
      [&](store::Connection& db) -> Result<coordinator::Completion> {
        BCAI_TRY_ASSIGN(const NodeId node, node_of(token));
        return coordinator::complete(db, world_.wall(), node, attempt, epoch, result,
                                     [](const Sha256&) { return true; });
      });
  if (answer && *answer) run_referee();
  return answer;
}

// A re-run takes its time, and a crash begins it anew.
void CoordinatorModel::run_referee() {
  if (!up_) return;
  const auto dispute = coordinator::find_dispute(db_);
  BCAI_ASSERT(dispute);
  if (!*dispute) return;
  world_.after(world_.between(10, 60'000), [this, life = life_, found = **dispute] {
    if (life != life_ || !up_) return;
    Verification decided{.verdict = Verification::Verdict::kDiffered,
                         .reason = "the program was run again",
                         .rerun_commitment = Truth::right_answer(),
                         .answers = {}};
    for (const coordinator::Dispute::Answer& one : found.answers) {
      decided.answers.push_back(one.answer);
      decided.answers.back().agrees = one.answer.commitment == decided.rerun_commitment;
    }
    transact<void>([&](store::Connection& db) {
      return coordinator::resolve(db, world_.wall(), found.job, decided);
    });
    run_referee();
  });
}

void CoordinatorModel::poll(const Token& token, Poll poll) {
  if (!up_) return;
  const Result<NodeId> node = node_of(token);
  if (!node) {
    poll.answer(node.error());
    return;
  }
  const uint64_t number = ++polls_;
  waiting_.insert_or_assign(*node, std::pair(number, std::move(poll)));
  run_scheduler();
  world_.after(kPollWait, [this, id = *node, number] {
    const auto found = waiting_.find(id);
    if (found == waiting_.end() || found->second.first != number) return;
    const Poll ended = std::move(found->second.second);
    waiting_.erase(found);
    ended.answer(std::vector<Lease>{});
  });
}

void CoordinatorModel::run_scheduler() {
  std::vector<Waiting> waiting;
  for (const auto& [node, entry] : waiting_) {
    waiting.push_back({.node = node, .free = entry.second.free, .held = entry.second.held});
  }
  const auto grants = transact<std::vector<Grant>>([&](store::Connection& db) {
    return coordinator::schedule(db, world_.wall(), world_.random, waiting, timing);
  });
  if (!grants || !*grants) return;
  std::map<NodeId, std::vector<Lease>> leases;
  for (const Grant& grant : **grants) {
    world_.note("grant " + grant.lease.attempt.text() + " of " + grant.lease.job.text() + " to " +
                grant.node.text());
    leases[grant.node].push_back(grant.lease);
  }
  for (auto& [node, list] : leases) {
    const auto found = waiting_.find(node);
    const Poll poll = std::move(found->second.second);
    waiting_.erase(found);
    poll.answer(std::move(list));
  }
}

void CoordinatorModel::run_reconciler() {
  const auto outcome = transact<coordinator::Reconciled>(
      [&](store::Connection& db) { return coordinator::reconcile(db, world_.wall(), timing); });
  if (!outcome || !*outcome) return;
  if (!(*outcome)->changed.empty()) {
    run_referee();
    run_scheduler();
  }
  if (!up_) return;
  const Millis wait = std::max(Millis(1), (*outcome)->next - world_.wall());
  // New deadlines come with new work: looked at again within some seconds.
  world_.after(std::min(wait, Millis(5'000)), [this, life = life_] {
    if (life == life_ && up_) run_reconciler();
  });
}

void CoordinatorModel::crash() {
  world_.note("the coordinator crashes");
  up_ = false;
  life_ += 1;
  waiting_.clear();
  world_.after(world_.chance(0.2) ? world_.between(30'000, 200'000) : world_.between(10, 5'000),
               [this] { restart(); });
}

void CoordinatorModel::restart() {
  up_ = true;
  world_.note("the coordinator is back");
  const auto graced = transact<void>(
      [&](store::Connection& db) { return coordinator::grace(db, world_.wall(), timing); });
  if (graced) run_reconciler();
  run_referee();
}

}  // namespace bcai::simulation
