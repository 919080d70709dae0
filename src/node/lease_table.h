// SPDX-License-Identifier: Apache-2.0
// What the node holds, as a pure state machine: time is an argument, nothing waits, nothing is
// sent. It decides when an attempt must be dead, so that the coordinator may give its job to
// another node without asking: `kKillMargin` before the lease is lost, counted from the send time
// of the last acknowledged heartbeat. One thread at a time.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "protocol/node.h"

namespace bcai::node {

inline constexpr Millis kKillMargin{15'000};

// Why an attempt is ended before it ended by itself. The first reason stays.
enum class EndReason : uint8_t { kNone, kCancelled, kFenced, kLeaseLost, kStopped };

std::string_view name(EndReason reason);  // "cancelled", "lease_lost", …

class LeaseTable {
 public:
  explicit LeaseTable(Capacity offered) : offered_(offered) {}

  // kHeld: the lease came twice. kNoRoom: more than was free; the lease is not taken.
  enum class Take : uint8_t { kNew, kHeld, kNoRoom };
  // `asked_at`: when the request was sent that brought the lease, which is no later than its grant.
  Take take(const Lease& lease, Instant asked_at);

  // An attempt of an earlier process of which only the result is owed.
  void take_recovered(const Lease& lease, Instant now);

  // Forward only: leased, staging, running, uploading. Capacity is free again from uploading on.
  void advance(AttemptId attempt, AttemptState state);
  void set_progress(AttemptId attempt, Progress progress);
  // The coordinator has acknowledged the result: it is not ours any more.
  void settle(AttemptId attempt);

  // False when it is not held, needs no end any more, or has a reason already.
  bool end(AttemptId attempt, EndReason reason);
  EndReason end_reason(AttemptId attempt) const;

  // Gives those whose time is up the reason kLeaseLost and returns them, once.
  std::vector<AttemptId> expire(Instant now);
  std::optional<Instant> next_deadline() const;

  Heartbeat compose(int64_t sequence) const;
  // `sent` was sent at `sent_at` and acknowledged with `reply`; in any order, more than once.
  // Returns those that are to be ended now, once.
  std::vector<AttemptId> acknowledge(const Heartbeat& sent, Instant sent_at,
                                     const HeartbeatReply& reply);

  Capacity free() const;
  std::vector<AttemptId> held() const;
  int running() const;  // those that use capacity

 private:
  struct Held {
    int64_t epoch = 0;
    AttemptState state = AttemptState::kLeased;
    EndReason end = EndReason::kNone;
    Millis allowed{0};  // without an acknowledged heartbeat
    Instant kill_at;
    Hardware hardware;
    Progress progress;
  };
  static Held held_for(const Lease& lease, Instant since);
  static bool uses_capacity(const Held& held) { return held.state != AttemptState::kUploading; }

  Capacity offered_;
  std::map<AttemptId, Held> held_;
  std::deque<AttemptId> settled_;  // a lease that comes late must not run again
};

}  // namespace bcai::node
