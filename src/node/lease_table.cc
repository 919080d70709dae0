// SPDX-License-Identifier: Apache-2.0
#include "node/lease_table.h"

#include <algorithm>

namespace bcai::node {
namespace {

constexpr size_t kSettledMax = 1024;

bool fits(const Hardware& hardware, const Capacity& free) {
  return free.slots > 0 && hardware.cpu_millicores <= free.cpu_millicores &&
         hardware.memory_bytes <= free.memory_bytes && hardware.disk_bytes <= free.disk_bytes &&
         hardware.gpu_count <= free.gpu_count;
}

// The order of an attempt's life; -1 for what a node never sets.
int rank(AttemptState state) {
  switch (state) {
    case AttemptState::kLeased: return 0;
    case AttemptState::kStaging: return 1;
    case AttemptState::kRunning: return 2;
    case AttemptState::kUploading: return 3;
    default: return -1;
  }
}

}  // namespace

std::string_view name(EndReason reason) {
  constexpr std::string_view kNames[] = {"none", "cancelled", "fenced", "lease_lost", "stopped"};
  return kNames[static_cast<size_t>(reason)];
}

LeaseTable::Held LeaseTable::held_for(const Lease& lease, Instant since) {
  Held held;
  held.epoch = lease.epoch;
  held.allowed = std::max(Millis(0), Millis(lease.lost_after_ms) - kKillMargin);
  held.kill_at = since + held.allowed;
  held.hardware = lease.spec.hardware;
  return held;
}

LeaseTable::Take LeaseTable::take(const Lease& lease, Instant asked_at) {
  const bool settled = std::find(settled_.begin(), settled_.end(), lease.attempt) != settled_.end();
  if (settled || held_.contains(lease.attempt)) return Take::kHeld;
  if (!fits(lease.spec.hardware, free())) return Take::kNoRoom;
  held_.emplace(lease.attempt, held_for(lease, asked_at));
  return Take::kNew;
}

void LeaseTable::take_recovered(const Lease& lease, Instant now) {
  Held held = held_for(lease, now);
  held.state = AttemptState::kUploading;
  held_.emplace(lease.attempt, std::move(held));
}

void LeaseTable::advance(AttemptId attempt, AttemptState state) {
  const auto found = held_.find(attempt);
  if (found != held_.end() && rank(state) > rank(found->second.state)) {
    found->second.state = state;
  }
}

void LeaseTable::set_progress(AttemptId attempt, Progress progress) {
  const auto found = held_.find(attempt);
  if (found != held_.end()) found->second.progress = std::move(progress);
}

void LeaseTable::settle(AttemptId attempt) {
  if (held_.erase(attempt) == 0) return;
  settled_.push_back(attempt);
  if (settled_.size() > kSettledMax) settled_.pop_front();
}

bool LeaseTable::end(AttemptId attempt, EndReason reason) {
  const auto found = held_.find(attempt);
  if (found == held_.end() || !uses_capacity(found->second) ||
      found->second.end != EndReason::kNone) {
    return false;
  }
  found->second.end = reason;
  return true;
}

EndReason LeaseTable::end_reason(AttemptId attempt) const {
  const auto found = held_.find(attempt);
  return found == held_.end() ? EndReason::kNone : found->second.end;
}

std::vector<AttemptId> LeaseTable::expire(Instant now) {
  std::vector<AttemptId> expired;
  for (auto& [attempt, held] : held_) {
    if (held.kill_at <= now && end(attempt, EndReason::kLeaseLost)) expired.push_back(attempt);
  }
  return expired;
}

std::optional<Instant> LeaseTable::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& [attempt, held] : held_) {
    if (!uses_capacity(held) || held.end != EndReason::kNone) continue;
    if (!next || held.kill_at < *next) next = held.kill_at;
  }
  return next;
}

Heartbeat LeaseTable::compose(int64_t sequence) const {
  Heartbeat heartbeat{.sequence = sequence, .free = free(), .attempts = {}};
  for (const auto& [attempt, held] : held_) {
    heartbeat.attempts.push_back({attempt, held.epoch, held.state, held.progress});
  }
  return heartbeat;
}

std::vector<AttemptId> LeaseTable::acknowledge(const Heartbeat& sent, Instant sent_at,
                                               const HeartbeatReply& reply) {
  for (const HeartbeatAttempt& listed : sent.attempts) {
    const auto found = held_.find(listed.attempt);
    if (found == held_.end()) continue;
    found->second.kill_at = std::max(found->second.kill_at, sent_at + found->second.allowed);
  }
  std::vector<AttemptId> to_end;
  for (const HeartbeatReply::Item& item : reply.attempts) {
    if (item.action == LeaseAction::kKeep) continue;
    const EndReason reason =
        item.action == LeaseAction::kFence ? EndReason::kFenced : EndReason::kCancelled;
    if (end(item.attempt, reason)) to_end.push_back(item.attempt);
  }
  return to_end;
}

Capacity LeaseTable::free() const {
  Capacity free = offered_;
  for (const auto& [attempt, held] : held_) {
    if (!uses_capacity(held)) continue;
    free.cpu_millicores -= held.hardware.cpu_millicores;
    free.memory_bytes -= held.hardware.memory_bytes;
    free.disk_bytes -= held.hardware.disk_bytes;
    free.gpu_count -= held.hardware.gpu_count;
    free.slots -= 1;
  }
  return free;
}

std::vector<AttemptId> LeaseTable::held() const {
  std::vector<AttemptId> attempts;
  for (const auto& [attempt, held] : held_) attempts.push_back(attempt);
  return attempts;
}

int LeaseTable::running() const {
  return static_cast<int>(std::count_if(
      held_.begin(), held_.end(), [](const auto& entry) { return uses_capacity(entry.second); }));
}

}  // namespace bcai::node
