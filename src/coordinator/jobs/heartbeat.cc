// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_of;

// A granted lease may still be on its way to its node for as long as the node's request for work
// can last (a minute) and messages be under way. Only after that does a heartbeat without it prove
// that the node will never have it.
constexpr Millis kDelivery{90'000};

// False: an older heartbeat, or a repeated one.
Result<bool> note_node(store::Connection& db, WallTime now, NodeId node,
                       const Heartbeat& heartbeat) {
  store::Statement update = db.prepare(
      "UPDATE nodes SET sequence = ?1, last_seen = ?2, free = ?3 WHERE id = ?4 AND sequence < ?1");
  update.bind(heartbeat.sequence).bind(now.ms).bind(to_text(encode(heartbeat.free)));
  BCAI_TRY_ASSIGN(const int64_t changed, update.bind_blob(bytes_of(node)).run());
  if (changed == 1) return true;
  store::Statement row = db.prepare("SELECT 1 FROM nodes WHERE id = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(node)).step());
  if (!found) return error(ErrorCode::kNotFound, "there is no node {}", node.text());
  return false;
}

// What a node may say of an attempt that it holds.
AttemptState reported_state(AttemptState said) {
  if (said == AttemptState::kOffered || said == AttemptState::kUnknown)
    return AttemptState::kLeased;
  return is_terminal(said) ? AttemptState::kUploading : said;  // its result is on the way
}

std::string reason_of(AttemptState state, const std::string& node_name) {
  switch (state) {
    case AttemptState::kStaging: return fmt::format("{} prepares it", node_name);
    case AttemptState::kRunning: return fmt::format("running on {}", node_name);
    case AttemptState::kUploading: return fmt::format("{} sends its results", node_name);
    default: return fmt::format("taken by {}", node_name);
  }
}

Result<void> note_progress(store::Connection& db, const AttemptRow& attempt,
                           const Progress& progress) {
  const std::string text = to_text(encode(progress));
  if (text == attempt.progress) return {};
  BCAI_TRY(db.prepare("UPDATE attempts SET progress = ? WHERE id = ?")
               .bind(text)
               .bind_blob(bytes_of(attempt.id))
               .run());
  BCAI_TRY(db.prepare("UPDATE jobs SET version = version + 1 WHERE id = ?")
               .bind_blob(bytes_of(attempt.job))
               .run());
  return {};
}

Result<void> set_heard(store::Connection& db, const AttemptRow& attempt, WallTime heard_at,
                       WallTime deadline) {
  BCAI_TRY(db.prepare("UPDATE attempts SET heard_at = ?, deadline = ? WHERE id = ?")
               .bind(heard_at.ms)
               .bind(deadline.ms)
               .bind_blob(bytes_of(attempt.id))
               .run());
  return {};
}

Result<void> hear_of(store::Connection& db, WallTime now, const AttemptRow& attempt,
                     const HeartbeatAttempt& said, const Timing& timing) {
  const std::string actor = attempt.node.text();
  const WallTime deadline = now + timing.unknown_after;
  const AttemptState to = reported_state(said.state);
  AttemptState from = attempt.state;
  for (const AttemptState step : {AttemptState::kLeased, to}) {
    // Only an offer passes through "leased"; a state that the table does not allow is behind us.
    if (step != to && from != AttemptState::kOffered) continue;
    if (!may_become(from, step)) continue;
    const std::string reason = reason_of(step, attempt.node_name);
    BCAI_TRY_ASSIGN(const bool moved,
                    move_attempt(db, now, attempt, step, deadline,
                                 {.actor = actor, .code = name(step), .reason = reason}));
    BCAI_ASSERT(moved);
    from = step;
  }
  BCAI_TRY(set_heard(db, attempt, now, deadline));
  BCAI_TRY(note_progress(db, attempt, said.progress));
  if (from == attempt.state) return {};
  return settle(db, now, attempt.job, actor);
}

// The newest heartbeat of the node does not name an attempt that it should hold.
Result<void> miss(store::Connection& db, WallTime now, const AttemptRow& attempt,
                  const Timing& timing) {
  const std::string actor = attempt.node.text();
  if (attempt.state == AttemptState::kOffered) {
    const Millis age = now - attempt.offered_at;
    if (attempt.desired == Desired::kCancel && age >= timing.offer_ttl) {
      const std::string reason = fmt::format("cancelled before {} took it", attempt.node_name);
      BCAI_TRY(end_attempt(db, now, attempt, AttemptState::kCancelled, FailureClass::kNone,
                           {.actor = actor, .code = "not_taken", .reason = reason}));
      return settle(db, now, attempt.job, actor);
    }
    if (age < kDelivery) return set_heard(db, attempt, now, now + timing.lost_after);
  }
  const std::string reason =
      attempt.state == AttemptState::kOffered
          ? fmt::format("{} did not take it", attempt.node_name)
          : fmt::format("{} no longer holds it; it was restarted", attempt.node_name);
  BCAI_TRY(end_attempt(db, now, attempt, AttemptState::kLost, FailureClass::kInfra,
                       {.actor = actor, .code = "not_held", .reason = reason}));
  return settle(db, now, attempt.job, actor);
}

Result<LeaseAction> action_for(store::Connection& db, NodeId node, const HeartbeatAttempt& said) {
  const Result<AttemptRow> found = load_attempt(db, said.attempt);
  if (!found && found.error().code != ErrorCode::kNotFound) return found.error();
  if (!found || found->node != node || found->epoch != said.epoch || is_terminal(found->state)) {
    return LeaseAction::kFence;
  }
  return found->desired == Desired::kCancel ? LeaseAction::kCancel : LeaseAction::kKeep;
}

}  // namespace

Result<HeartbeatReply> heartbeat(store::Connection& db, WallTime now, NodeId node,
                                 const Heartbeat& heartbeat, const Timing& timing) {
  BCAI_TRY_ASSIGN(const bool newest, note_node(db, now, node, heartbeat));
  if (newest) {
    BCAI_TRY_ASSIGN(const std::vector<AttemptRow> attempts, live_attempts(db, node));
    for (const AttemptRow& attempt : attempts) {
      const auto said =
          std::find_if(heartbeat.attempts.begin(), heartbeat.attempts.end(),
                       [&](const HeartbeatAttempt& candidate) {
                         return candidate.attempt == attempt.id && candidate.epoch == attempt.epoch;
                       });
      BCAI_TRY(said != heartbeat.attempts.end() ? hear_of(db, now, attempt, *said, timing)
                                                : miss(db, now, attempt, timing));
    }
  }
  HeartbeatReply reply{.interval_ms = timing.heartbeat.count(), .attempts = {}};
  for (const HeartbeatAttempt& said : heartbeat.attempts) {
    BCAI_TRY_ASSIGN(const LeaseAction action, action_for(db, node, said));
    reply.attempts.push_back({.attempt = said.attempt, .action = action});
  }
  return reply;
}

}  // namespace bcai::coordinator
