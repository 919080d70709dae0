// SPDX-License-Identifier: Apache-2.0
// A node as the protocol asks it to be (protocol/node.h): it registers, asks for leases, beats,
// runs, keeps results until they are acknowledged, ends its attempts when it was not heard in time,
// and dies and comes back with or without what it had on disk.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "simulation/coordinator_model.h"
#include "simulation/truth.h"

namespace bcai::simulation {

struct NodeHabits {
  int slots = 1;
  double fails = 0;       // of attempts end in a node failure
  bool stubborn = false;  // goes on when told to cancel
  bool lies = false;      // about what programs give, each node in its own way
};

class NodeModel {
 public:
  NodeModel(World& world, Truth& truth, CoordinatorModel& coordinator, int peer, NodeHabits habits,
            KeyId operator_key);

  void boot();
  void crash();
  bool is_up() const { return up_; }
  const std::string& name() const { return registration_.name; }

 private:
  struct Attempt {
    Lease lease;
    AttemptState state = AttemptState::kLeased;
    std::optional<AttemptResult> result;  // in the spool: its processes are gone
    double progress = 0;
  };

  // Calls `action` after a while unless this process has died by then.
  void later(Millis delay, std::function<void()> action);
  void reply(std::function<void()> deliver);

  void enter();
  void ask_for_work();
  void take(const Lease& lease);
  void advance(AttemptId id);
  void finish(AttemptId id, AttemptResult result);
  void drop(AttemptId id);
  void beat();
  void beat_again();
  void hear(const HeartbeatReply& reply, int64_t sent_at);
  void deliver_results();
  void watch_lease();
  bool lease_has_run_out() const;
  Capacity free() const;
  AttemptResult result_of(AttemptId id, Outcome outcome, int exit_code);

  World& world_;
  Truth& truth_;
  CoordinatorModel& coordinator_;
  int peer_;
  NodeHabits habits_;
  KeyId operator_key_;
  NodeRegistration registration_;

  bool up_ = false;
  uint64_t life_ = 0;
  std::optional<Token> token_;
  int64_t last_acknowledged_ = 0;  // send time of the newest heartbeat that was answered
  int64_t sequence_ = 0;
  uint64_t request_ = 0;  // of registration or poll: answers to older ones are ignored
  std::map<AttemptId, Attempt> attempts_;
};

}  // namespace bcai::simulation
