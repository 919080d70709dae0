// SPDX-License-Identifier: Apache-2.0
#include "node/lease_table.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"

namespace bcai::node {
namespace {

constexpr Capacity kOffered{.cpu_millicores = 4000,
                            .memory_bytes = 8'000'000'000,
                            .disk_bytes = 8'000'000'000,
                            .gpu_count = 1,
                            .slots = 3};

Lease lease(uint8_t number, int64_t lost_after_ms = 120'000) {
  Lease made;
  made.attempt.bytes[15] = number;
  made.epoch = number;
  made.lost_after_ms = lost_after_ms;
  return made;
}

AttemptId id(uint8_t number) { return lease(number).attempt; }

HeartbeatReply reply(AttemptId attempt, LeaseAction action) {
  return {.interval_ms = 5000, .attempts = {{attempt, action}}};
}

TEST(LeaseTable, CountsWhatIsFree) {
  LeaseTable table(kOffered);
  Lease big = lease(1);
  big.spec.hardware = {.cpu_millicores = 3000, .memory_bytes = 5'000'000'000, .gpu_count = 1};
  EXPECT_EQ(table.take(big, {0}), LeaseTable::Take::kNew);
  EXPECT_EQ(table.free().cpu_millicores, 1000);
  EXPECT_EQ(table.free().gpu_count, 0);
  EXPECT_EQ(table.free().slots, 2);
  Lease another = big;
  another.attempt = id(2);
  EXPECT_EQ(table.take(another, {0}), LeaseTable::Take::kNoRoom);
  EXPECT_EQ(table.take(lease(3), {0}), LeaseTable::Take::kNew);
  EXPECT_EQ(table.take(lease(4), {0}), LeaseTable::Take::kNoRoom);  // no core is left
  table.advance(id(1), AttemptState::kUploading);
  EXPECT_EQ(table.free().cpu_millicores, 3000);
  EXPECT_EQ(table.running(), 1);
  table.settle(id(1));
  table.settle(id(3));
  EXPECT_EQ(table.free().cpu_millicores, 4000);
  EXPECT_EQ(table.free().slots, 3);
}

TEST(LeaseTable, ALeaseThatComesTwiceIsTakenOnce) {
  LeaseTable table(kOffered);
  EXPECT_EQ(table.take(lease(1), {0}), LeaseTable::Take::kNew);
  EXPECT_EQ(table.take(lease(1), {0}), LeaseTable::Take::kHeld);
  table.advance(id(1), AttemptState::kUploading);
  table.settle(id(1));
  EXPECT_EQ(table.take(lease(1), {0}), LeaseTable::Take::kHeld);
  EXPECT_TRUE(table.held().empty());
}

TEST(LeaseTable, StatesOnlyGoForward) {
  LeaseTable table(kOffered);
  ASSERT_EQ(table.take(lease(1), {0}), LeaseTable::Take::kNew);
  table.advance(id(1), AttemptState::kRunning);
  table.advance(id(1), AttemptState::kStaging);
  EXPECT_EQ(table.compose(1).attempts[0].state, AttemptState::kRunning);
  table.advance(id(1), AttemptState::kLost);
  EXPECT_EQ(table.compose(1).attempts[0].state, AttemptState::kRunning);
}

TEST(LeaseTable, TheDeadlineCountsFromTheSendTimeOfAnAcknowledgedHeartbeat) {
  LeaseTable table(kOffered);
  ASSERT_EQ(table.take(lease(1), {1'000}), LeaseTable::Take::kNew);
  EXPECT_EQ(table.next_deadline(), Instant{106'000});
  const Heartbeat sent = table.compose(1);
  table.acknowledge(sent, {7'000}, {});  // the answer may come any time later
  EXPECT_EQ(table.next_deadline(), Instant{112'000});
  table.acknowledge(sent, {2'000}, {});  // an older one that comes late
  EXPECT_EQ(table.next_deadline(), Instant{112'000});
  EXPECT_TRUE(table.expire({111'999}).empty());
  EXPECT_EQ(table.expire({112'000}), std::vector{id(1)});
  EXPECT_TRUE(table.expire({113'000}).empty());
  EXPECT_EQ(table.end_reason(id(1)), EndReason::kLeaseLost);
  EXPECT_EQ(table.next_deadline(), std::nullopt);
}

TEST(LeaseTable, AHeartbeatSentBeforeTheLeaseSaysNothingOfIt) {
  LeaseTable table(kOffered);
  const Heartbeat before = table.compose(1);
  ASSERT_EQ(table.take(lease(1), {1'000}), LeaseTable::Take::kNew);
  table.acknowledge(before, {50'000}, {});
  EXPECT_EQ(table.next_deadline(), Instant{106'000});
}

TEST(LeaseTable, CancelAndFenceEndOnce) {
  LeaseTable table(kOffered);
  ASSERT_EQ(table.take(lease(1), {0}), LeaseTable::Take::kNew);
  ASSERT_EQ(table.take(lease(2), {0}), LeaseTable::Take::kNew);
  const Heartbeat sent = table.compose(1);
  EXPECT_EQ(table.acknowledge(sent, {1}, reply(id(1), LeaseAction::kCancel)), std::vector{id(1)});
  EXPECT_TRUE(table.acknowledge(sent, {2}, reply(id(1), LeaseAction::kCancel)).empty());
  EXPECT_TRUE(table.acknowledge(sent, {2}, reply(id(1), LeaseAction::kFence)).empty());
  EXPECT_EQ(table.end_reason(id(1)), EndReason::kCancelled);
  EXPECT_EQ(table.acknowledge(sent, {2}, reply(id(2), LeaseAction::kFence)), std::vector{id(2)});
  EXPECT_TRUE(table.acknowledge(sent, {2}, reply(id(9), LeaseAction::kFence)).empty());
  EXPECT_TRUE(table.expire({1'000'000}).empty());
  EXPECT_EQ(table.compose(2).attempts.size(), 2U);  // held until the result is acknowledged
}

TEST(LeaseTable, WhatHasEndedIsNotEndedAgain) {
  LeaseTable table(kOffered);
  table.take_recovered(lease(1), {0});
  EXPECT_FALSE(table.end(id(1), EndReason::kStopped));
  EXPECT_TRUE(table.expire({1'000'000}).empty());
  EXPECT_EQ(table.free().slots, 3);
  EXPECT_EQ(table.compose(1).attempts[0].state, AttemptState::kUploading);
}

TEST(LeaseTable, ALeaseShorterThanTheMarginIsOverAtOnce) {
  LeaseTable table(kOffered);
  ASSERT_EQ(table.take(lease(1, 10'000), {5}), LeaseTable::Take::kNew);
  EXPECT_EQ(table.expire({5}), std::vector{id(1)});
}

// A node and a coordinator, each with its own account of who lives, and messages between them that
// are delayed, duplicated, reordered and lost.
class Network {
 public:
  static constexpr int64_t kTick = 500;

  explicit Network(uint64_t seed)
      : random_(seed), loss_percent_(random_.below(99)), delay_ms_max_(1 + random_.below(60'000)) {}

  void run() {
    for (now_ = 0; now_ < 900'000; now_ += kTick) {
      if (table_.free().slots > 0 && next_ < 250 && random_.below(20) == 0) grant();
      if (random_.below(100) == 0) finish_one();
      if (now_ % 5'000 == 0) {
        const Heartbeat beat = table_.compose(++sequence_);
        post([this, beat, at = now_] { hear(beat, at); });
      }
      deliver();
      for (AttemptId attempt : table_.expire({now_})) dead_at_.emplace(attempt, now_);
      declare_lost();
    }
  }

  int lost() const { return lost_; }

 private:
  struct Granted {
    int64_t lost_after;
    int64_t last_heard;
    bool over = false;
  };

  void grant() {
    const int64_t lost_after = 30'000 + static_cast<int64_t>(random_.below(120'000));
    const int64_t asked = now_ - static_cast<int64_t>(random_.below(5'000));
    const Lease made = lease(next_++, lost_after);
    ASSERT_EQ(table_.take(made, {asked}), LeaseTable::Take::kNew);
    // At any moment between the question and the answer.
    const auto waited =
        static_cast<int64_t>(random_.below(static_cast<uint64_t>(now_ - asked + 1)));
    coordinator_[made.attempt] = {lost_after, asked + waited};
  }

  void finish_one() {
    const std::vector<AttemptId> held = table_.held();
    if (held.empty()) return;
    const AttemptId attempt = held[random_.below(held.size())];
    dead_at_.emplace(attempt, now_);
    table_.advance(attempt, AttemptState::kUploading);
    if (random_.below(2) == 0) return;
    table_.settle(attempt);
    coordinator_[attempt].over = true;
  }

  void post(std::function<void()> arrive) {
    for (uint64_t copies = random_.below(10) == 0 ? 2 : 1; copies > 0; --copies) {
      if (random_.below(100) < loss_percent_) continue;
      wire_.emplace(now_ + static_cast<int64_t>(random_.below(delay_ms_max_)), arrive);
    }
  }

  void deliver() {
    while (!wire_.empty() && wire_.begin()->first <= now_) {
      const auto arrive = wire_.begin()->second;
      wire_.erase(wire_.begin());
      arrive();
    }
  }

  void hear(const Heartbeat& beat, int64_t sent_at) {
    if (beat.sequence <= heard_) return;
    heard_ = beat.sequence;
    HeartbeatReply answer;
    for (const HeartbeatAttempt& listed : beat.attempts) {
      Granted& granted = coordinator_[listed.attempt];
      if (!granted.over) granted.last_heard = now_;
      const bool cancel = random_.below(200) == 0;
      answer.attempts.push_back({listed.attempt, granted.over ? LeaseAction::kFence
                                                 : cancel     ? LeaseAction::kCancel
                                                              : LeaseAction::kKeep});
    }
    post([this, beat, sent_at, answer] {
      for (AttemptId attempt : table_.acknowledge(beat, {sent_at}, answer)) {
        EXPECT_TRUE(dead_at_.emplace(attempt, now_).second) << "ended twice";
      }
    });
  }

  void declare_lost() {
    for (auto& [attempt, granted] : coordinator_) {
      const int64_t lost_at = granted.last_heard + granted.lost_after;
      if (granted.over || now_ < lost_at) continue;
      granted.over = true;
      lost_ += 1;
      const auto dead = dead_at_.find(attempt);
      ASSERT_NE(dead, dead_at_.end()) << "alive when its job may run elsewhere";
      EXPECT_LE(dead->second, lost_at - kKillMargin.count() + kTick);
    }
  }

  SeededRandom random_;
  uint64_t loss_percent_;
  uint64_t delay_ms_max_;
  int64_t now_ = 0;
  LeaseTable table_{kOffered};
  std::multimap<int64_t, std::function<void()>> wire_;
  std::map<AttemptId, Granted> coordinator_;
  std::map<AttemptId, int64_t> dead_at_;
  int64_t sequence_ = 0;
  int64_t heard_ = 0;
  uint8_t next_ = 1;
  int lost_ = 0;
};

TEST(LeaseTable, NoAttemptOutlivesItsLeaseWhateverTheNetworkDoes) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Network network(seed);
    network.run();
    lost += network.lost();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(lost, 150);  // or the test has proved nothing
}

}  // namespace
}  // namespace bcai::node
