// SPDX-License-Identifier: Apache-2.0
// A coordinator without sockets: the functions of coordinator/jobs in transactions on a real
// database. It crashes before or after a commit, forgets what it did not write, and comes back.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/queries.h"
#include "simulation/world.h"

namespace bcai::simulation {

using Token = Sha256;

class CoordinatorModel {
 public:
  // `after_step` runs after each transaction that was committed.
  CoordinatorModel(World& world, store::Connection& db, std::function<void()> after_step);

  coordinator::Timing timing;

  // Requests; nothing when the coordinator is down or dies: then no answer comes.
  template <typename T>
  using Answer = std::optional<Result<T>>;

  Answer<coordinator::Submitted> submit(const coordinator::Submission& submission);
  Answer<void> cancel(JobId job);
  struct Registered {
    NodeId node;
    Token token;
  };
  Answer<Registered> enter(const NodeRegistration& registration, KeyId operator_key);
  // kUnauthenticated: the session is no more.
  Answer<HeartbeatReply> heartbeat(const Token& token, const Heartbeat& heartbeat);
  Answer<coordinator::Completion> complete(const Token& token, AttemptId attempt, int64_t epoch,
                                           const AttemptResult& result);

  // Answered later, at most once, with leases or none.
  struct Poll {
    Capacity free;
    std::vector<AttemptId> held;
    std::function<void(Result<std::vector<Lease>>)> answer;
  };
  void poll(const Token& token, Poll poll);

  bool is_up() const { return up_; }

 private:
  template <typename T>
  Answer<T> transact(const std::function<Result<T>(store::Connection&)>& work);
  Result<NodeId> node_of(const Token& token);
  void run_scheduler();
  void run_reconciler();
  void run_referee();
  void crash();
  void restart();

  World& world_;
  store::Connection& db_;
  std::function<void()> after_step_;
  bool up_ = true;
  uint64_t life_ = 0;  // timers of an earlier life do nothing
  uint64_t polls_ = 0;
  std::map<NodeId, std::pair<uint64_t, Poll>> waiting_;
};

}  // namespace bcai::simulation
