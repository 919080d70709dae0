// SPDX-License-Identifier: Apache-2.0
// Brings queued jobs to waiting nodes and acts when time has passed. Nodes park their polls here;
// whoever changes what could be placed calls kick(), and one round of jobs::schedule at a time runs
// on the database's writer, right behind the change. What a round grants is answered to the polls
// after the commit. Thread-safe.
//
// An answer can be lost on its way: jobs::schedule grants a lease again to a node whose poll does
// not show that it holds it.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "coordinator/api/gate.h"
#include "coordinator/api/timer.h"
#include "coordinator/api/watch.h"
#include "coordinator/jobs/jobs.h"
#include "net/server.h"

namespace bcai::coordinator {

struct DispatchOptions {
  DatabaseGate& database;
  JobWatch& watch;
  Timer& timer;
  const Clock& clock;
  Random& random;
  Timing timing;
  std::function<void(Millis waited)> on_lease;  // from being submitted to being granted
  std::function<void()> on_reconciled;          // some jobs changed by the passing of time
};

struct LeasePoll {
  NodeId node;
  Capacity free;
  std::optional<std::vector<AttemptId>> held;  // nothing: it does not tell
  Millis wait{0};
  net::Reply reply;
};

class Dispatch {
 public:
  explicit Dispatch(DispatchOptions options) : options_(std::move(options)) {}

  // Reconciles for the first time.
  void start();

  void poll(LeasePoll poll);
  // There is news that the node's next heartbeat would bring it: its parked poll is answered, with
  // the advice to send one now.
  void nudge(NodeId node);

  // Something may be placed now. Call it right after the write was queued.
  void kick();
  // Something reaches its deadline no sooner than after this time.
  void deadline_within(Millis delay);

  size_t waiting() const;

 private:
  struct Parked {
    uint64_t id = 0;
    Capacity free;
    std::optional<std::vector<AttemptId>> held;
    net::Reply reply;
    uint64_t timer = 0;
  };

  std::optional<net::Reply> take_parked(NodeId node, uint64_t id);

  void begin_round();
  std::vector<Waiting> snapshot() const;
  void deliver(const std::vector<Grant>& grants);
  void reconcile_now();

  DispatchOptions options_;
  mutable std::mutex mutex_;
  std::map<NodeId, Parked> parked_;
  uint64_t next_id_ = 1;
  bool round_pending_ = false;
  bool again_ = false;
  bool kick_later_ = false;
  Instant last_round_{INT64_MIN / 2};
  uint64_t reconcile_timer_ = 0;
  Instant reconcile_at_{INT64_MAX};
};

}  // namespace bcai::coordinator
