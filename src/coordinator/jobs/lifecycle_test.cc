// SPDX-License-Identifier: Apache-2.0
// What happens to a job from grant to end, message by message.
#include "coordinator/jobs/jobs_fixture.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/artifacts.h"

namespace bcai::coordinator {
namespace {

using Kinds = std::vector<std::string>;
constexpr auto kRunning = AttemptState::kRunning;

struct LifecycleTest : JobsFixture {
  NodeId box;
  NodeId other;
  void SetUp() override {
    JobsFixture::SetUp();
    box = add_node("box");
    other = add_node("other");
  }
};

TEST_F(LifecycleTest, RunsAndSucceeds) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  EXPECT_EQ(lease.job, id);
  EXPECT_EQ(lease.epoch, 1);
  EXPECT_EQ(lease.spec.code, "print(1)");
  EXPECT_EQ(lease.lost_after_ms, 120'000);
  EXPECT_EQ(lease.tenant, owner.text());
  EXPECT_EQ(state(id), JobState::kActive);
  EXPECT_EQ(job(id).reason, "offered to box");
  pass(Millis(3'000));
  const auto reply = beat(box, {holds(lease, kRunning)});
  ASSERT_EQ(reply.attempts.size(), 1U);
  EXPECT_EQ(reply.attempts[0].action, LeaseAction::kKeep);
  EXPECT_EQ(job(id).reason, "running on box");
  EXPECT_EQ(job(id).started_at, now);
  AttemptResult result = result_with(Outcome::kFinished);
  result.outputs["loss"] = 0.5;
  EXPECT_TRUE(published(box, lease, result));
  const JobRecord done = job(id);
  EXPECT_EQ(done.state, JobState::kSucceeded);
  EXPECT_EQ(done.published, lease.attempt);
  EXPECT_EQ(done.ended_at, now);
  EXPECT_EQ(kinds(id),
            (Kinds{"job.queued", "attempt.offered", "job.active", "attempt.leased",
                   "attempt.running", "attempt.completed", "job.verifying", "job.succeeded"}));
  EXPECT_EQ(must([&](auto& db) { return find_result(db, id); }).outputs.at("loss"), 0.5);
}

TEST_F(LifecycleTest, AJobShorterThanAHeartbeatSucceeds) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  pass(Millis(200));
  AttemptResult result = result_with(Outcome::kFinished);
  result.usage.wall_ms = 150;
  EXPECT_TRUE(published(box, lease, result));
  EXPECT_EQ(state(id), JobState::kSucceeded);
  EXPECT_EQ(job(id).started_at, WallTime{now.ms - 150});
}

TEST_F(LifecycleTest, WhatTheJobDidIsNotTriedAgain) {
  const struct {
    AttemptResult result;
    const char* code;
  } cases[] = {{result_with(Outcome::kFinished, 1), "user_error"},
               {result_with(Outcome::kOutOfMemory), "out_of_memory"},
               {result_with(Outcome::kTimedOut), "timed_out"},
               {result_with(Outcome::kOverProcesses), "over_processes"},
               {result_with(Outcome::kPolicyViolation), "policy_violation"}};
  for (const auto& c : cases) {
    const JobId id = submit_job();
    const Lease lease = grant_to(box);
    EXPECT_TRUE(published(box, lease, c.result));
    EXPECT_EQ(state(id), JobState::kFailed);
    EXPECT_EQ(job(id).reason_code, c.code);
    EXPECT_FALSE(job(id).reason.empty());
    EXPECT_TRUE(in([&](auto& db) { return find_result(db, id); }));
  }
}

TEST_F(LifecycleTest, TheReasonOfAFailureIsTheJobsOwnErrorCutAtACharacter) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  AttemptResult result = result_with(Outcome::kFinished, 1);
  result.error = {.type = "ValueError", .message = "bad x", .traceback = "", .line = 3};
  for (int i = 0; i < 400; ++i) result.error.message += "ü";
  ASSERT_TRUE(published(box, lease, result));
  const std::string reason = job(id).reason;
  EXPECT_TRUE(reason.starts_with("ValueError: bad xü")) << reason;
  EXPECT_LE(reason.size(), 404U);
  EXPECT_TRUE(reason.ends_with("ü…")) << reason;
}

TEST_F(LifecycleTest, ANodeFailureIsTriedOnAnotherNode) {
  const JobId id = submit_job(1);
  const Lease first = grant_to(box);
  EXPECT_TRUE(published(box, first, result_with(Outcome::kNodeFailure)));
  EXPECT_EQ(state(id), JobState::kQueued);
  EXPECT_EQ(job(id).reason_code, "retry");
  EXPECT_TRUE(schedule_for({{.node = box, .free = room()}}).empty());
  const Lease second = grant_to(other);
  EXPECT_EQ(second.job, id);
  EXPECT_EQ(second.epoch, 2);
  EXPECT_TRUE(published(other, second, result_with(Outcome::kNodeFailure)));
  EXPECT_EQ(state(id), JobState::kLost);
  EXPECT_NE(job(id).reason.find("2 attempts"), std::string::npos) << job(id).reason;
}

TEST_F(LifecycleTest, ThreeNodesThatFailHoldTheJobUntilSomebodyDecides) {
  const JobId id = submit_job(50);
  for (const NodeId node : {box, other, add_node("third")}) {
    EXPECT_TRUE(published(node, grant_to(node), result_with(Outcome::kNodeFailure)));
  }
  EXPECT_EQ(state(id), JobState::kHeld);
  wait_out(kHold);
  EXPECT_EQ(state(id), JobState::kCancelled);
}

TEST_F(LifecycleTest, ASilentNodeIsUnknownThenBackAgain) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  wait_out(Millis(29'999));
  EXPECT_EQ(attempt_state(id), kRunning);
  wait_out(Millis(1));
  EXPECT_EQ(attempt_state(id), AttemptState::kUnknown);
  EXPECT_EQ(job(id).reason_code, "node_silent");
  wait_out(Millis(89'999));
  EXPECT_EQ(attempt_state(id), AttemptState::kUnknown);
  EXPECT_EQ(beat(box, {holds(lease, kRunning)}).attempts[0].action, LeaseAction::kKeep);
  EXPECT_EQ(attempt_state(id), kRunning);
  EXPECT_EQ(state(id), JobState::kActive);
}

TEST_F(LifecycleTest, ALostAttemptIsFencedAndItsResultNeverShown) {
  const JobId id = submit_job();
  const Lease first = grant_to(box);
  beat(box, {holds(first, kRunning)});
  wait_out(Millis(120'000));
  EXPECT_EQ(attempt_state(id), AttemptState::kLost);
  EXPECT_EQ(state(id), JobState::kQueued);
  add_node("unused");
  beat(other, {});
  const Lease second = grant_to(other);
  beat(other, {holds(second, kRunning)});
  EXPECT_EQ(beat(box, {holds(first, kRunning)}).attempts[0].action, LeaseAction::kFence);
  EXPECT_FALSE(in([&](auto& db) { return check_epoch(db, box, first.attempt, 1); }));
  EXPECT_TRUE(in([&](auto& db) { return check_epoch(db, other, second.attempt, 2); }));

  AttemptResult late = result_with(Outcome::kFinished);
  late.outputs["who"] = "late";
  EXPECT_FALSE(published(box, first, late));
  EXPECT_FALSE(published(box, first, late));  // again, the same answer
  EXPECT_EQ(state(id), JobState::kActive);
  EXPECT_FALSE(in([&](auto& db) { return find_result(db, id); }));
  EXPECT_EQ(job(id).attempts[0].state, AttemptState::kFenced);

  AttemptResult good = result_with(Outcome::kFinished);
  good.outputs["who"] = "good";
  EXPECT_TRUE(published(other, second, good));
  EXPECT_TRUE(published(other, second, good));
  EXPECT_EQ(must([&](auto& db) { return find_result(db, id); }).outputs.at("who"), "good");
  EXPECT_EQ(job(id).published, second.attempt);
}

TEST_F(LifecycleTest, AResultOfTheWrongNodeOrEpochIsRefused) {
  submit_job();
  Lease lease = grant_to(box);
  EXPECT_EQ(send_result(other, lease, result_with(Outcome::kFinished)).error().code,
            ErrorCode::kNotFound);
  lease.epoch += 1;
  EXPECT_EQ(send_result(box, lease, result_with(Outcome::kFinished)).error().code,
            ErrorCode::kNotFound);
}

TEST_F(LifecycleTest, AResultWaitsForItsArtifacts) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  AttemptResult result = result_with(Outcome::kFinished);
  result.artifacts.push_back({.name = "model.pt", .sha256 = Sha256::of("m"), .bytes = 1});
  bool here = false;
  const auto send = [&] {
    return in([&](auto& db) {
      return complete(db, now, box, lease.attempt, lease.epoch, result,
                      [&](const Sha256&) { return here; });
    });
  };
  const auto refused = send();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(state(id), JobState::kActive);
  here = true;
  EXPECT_TRUE(send());
  EXPECT_EQ(state(id), JobState::kSucceeded);
  EXPECT_TRUE(must([&](auto& db) { return store::may_read(db, owner, Sha256::of("m")); }));
}

TEST_F(LifecycleTest, CancelEndsWithTheProofOfTheKill) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  cancel_job(id);
  EXPECT_EQ(state(id), JobState::kActive);
  EXPECT_EQ(job(id).desired, Desired::kCancel);
  EXPECT_EQ(beat(box, {holds(lease, kRunning)}).attempts[0].action, LeaseAction::kCancel);
  EXPECT_TRUE(published(box, lease, result_with(Outcome::kCancelled)));
  EXPECT_EQ(state(id), JobState::kCancelled);
  EXPECT_EQ(attempt_state(id), AttemptState::kCancelled);
  EXPECT_EQ(job(id).published, lease.attempt);
}

TEST_F(LifecycleTest, CancelEndsWithTheLease) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  cancel_job(id);
  wait_out(Millis(119'999));
  EXPECT_EQ(state(id), JobState::kActive);
  wait_out(Millis(1));
  EXPECT_EQ(state(id), JobState::kCancelled);
  EXPECT_FALSE(published(box, lease, result_with(Outcome::kFinished)));
  EXPECT_EQ(state(id), JobState::kCancelled);
  EXPECT_FALSE(in([&](auto& db) { return find_result(db, id); }));
}

TEST_F(LifecycleTest, AnOfferThatNobodyTookIsCancelledSoon) {
  const JobId id = submit_job();
  grant_to(box);
  cancel_job(id);
  EXPECT_TRUE(schedule_for({{.node = box, .free = room(), .held = {{}}}}).empty());
  pass(Millis(10'000));
  beat(box, {});
  EXPECT_EQ(state(id), JobState::kCancelled);
}

TEST_F(LifecycleTest, AJobThatFinishedBeforeTheCancelReachedItSucceeds) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  cancel_job(id);
  EXPECT_TRUE(published(box, lease, result_with(Outcome::kFinished)));
  EXPECT_EQ(state(id), JobState::kSucceeded);
}

TEST_F(LifecycleTest, ALostAnswerIsGrantedAgainAsTheSameAttempt) {
  submit_job();
  const Lease lease = grant_to(box);
  const auto poll = [&](std::optional<std::vector<AttemptId>> held) {
    return schedule_for({{.node = box, .free = room(), .held = std::move(held)}});
  };
  EXPECT_TRUE(poll(std::vector{lease.attempt}).empty());
  EXPECT_TRUE(poll(std::nullopt).empty());  // may be on its way
  const auto again = poll(std::vector<AttemptId>{});
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].lease.attempt, lease.attempt);
  EXPECT_EQ(again[0].lease.epoch, lease.epoch);
  pass(timing.offer_ttl);
  EXPECT_EQ(poll(std::nullopt).size(), 1U);
  beat(box, {holds(lease, AttemptState::kStaging)});
  EXPECT_TRUE(poll(std::vector<AttemptId>{}).empty());
}

TEST_F(LifecycleTest, ANodeThatDropsWhatItIsHandedDoesNotSpin) {
  const JobId id = submit_job();
  grant_to(box);
  const auto poll = [&] {
    return schedule_for({{.node = box, .free = room(), .held = {{}}}}).size();
  };
  size_t handed_out = 0;
  for (int i = 0; i < 100; ++i) handed_out += poll();
  EXPECT_EQ(handed_out, 4U);
  pass(timing.offer_ttl);
  EXPECT_EQ(poll(), 1U);
  pass(Millis(600'000));
  beat(box, {});
  EXPECT_EQ(attempt_state(id), AttemptState::kLost);
}

TEST_F(LifecycleTest, WhatIsGrantedAgainTakesRoom) {
  submit_job();
  grant_to(box);
  submit_job();
  EXPECT_EQ(schedule_for({{.node = box, .free = room(0), .held = {{}}}}).size(), 0U);
  EXPECT_EQ(schedule_for({{.node = box, .free = room(1), .held = {{}}}}).size(), 1U);
  EXPECT_EQ(schedule_for({{.node = box, .free = room(2), .held = {{}}}}).size(), 2U);
}

TEST_F(LifecycleTest, AnOfferIsGivenUpOnlyWhenItCanNoLongerArrive) {
  const JobId id = submit_job();
  grant_to(box);
  for (int i = 0; i < 17; ++i) {
    wait_out(Millis(5'000));
    beat(box, {});
    EXPECT_EQ(attempt_state(id), AttemptState::kOffered) << i;
  }
  wait_out(Millis(5'000));
  beat(box, {});
  EXPECT_EQ(attempt_state(id), AttemptState::kLost);
  EXPECT_EQ(state(id), JobState::kQueued);
}

TEST_F(LifecycleTest, WhatARestartedNodeDoesNotBringBackIsLostAtOnce) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  beat(box, {});
  EXPECT_EQ(attempt_state(id), AttemptState::kLost);
  EXPECT_EQ(state(id), JobState::kQueued);
}

TEST_F(LifecycleTest, AnOlderHeartbeatChangesNothing) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, AttemptState::kStaging)});
  beat(box, {holds(lease, kRunning)});
  sequences[box] = 0;
  EXPECT_EQ(beat(box, {}).attempts.size(), 0U);
  EXPECT_EQ(attempt_state(id), kRunning);
  sequences[box] = 2;
  beat(box, {holds(lease, AttemptState::kStaging)});
  EXPECT_EQ(attempt_state(id), kRunning);  // never backwards
}

TEST_F(LifecycleTest, ANewSessionCountsAnew) {
  NodeRegistration registration;
  registration.name = "again";
  random.fill(registration.public_key);
  registration.capabilities.slots = 1;
  const auto enter = [&] {
    return must([&](auto& db) { return register_node(db, now, random, registration, owner); });
  };
  const NodeId node = enter();
  sequences[node] = 40;
  beat(node, {});
  EXPECT_EQ(enter(), node);
  sequences[node] = 0;
  pass(Millis(1'000));
  beat(node, {});
  const auto nodes = must([&](auto& db) { return list_nodes(db, now, timing); });
  const auto found = std::find_if(nodes.begin(), nodes.end(),
                                  [&](const NodeRecord& record) { return record.id == node; });
  ASSERT_NE(found, nodes.end());
  EXPECT_EQ(found->last_seen, now);
  EXPECT_EQ(found->free.slots, 1);
}

TEST_F(LifecycleTest, ProgressIsAChangeOnlyWhenItChanged) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  HeartbeatAttempt said = holds(lease, kRunning);
  said.progress = {.fraction = 0.25, .message = "epoch 1", .metrics = {{"loss", 2.5}}};
  beat(box, {said});
  const int64_t version = job(id).version;
  beat(box, {said});
  EXPECT_EQ(job(id).version, version);
  said.progress.fraction = 0.5;
  beat(box, {said});
  EXPECT_GT(job(id).version, version);
  const Progress progress = job(id).attempts[0].progress;
  EXPECT_EQ(progress.fraction, 0.5);
  EXPECT_EQ(progress.message, "epoch 1");
  EXPECT_EQ(progress.metrics.at("loss"), 2.5);
}

TEST_F(LifecycleTest, TheReasonOfAWaitIsWrittenOnceUntilItChanges) {
  const JobId id = submit_job();
  must_do([&](auto& db) { return db.execute("DELETE FROM nodes"); });
  schedule_for({});
  EXPECT_EQ(job(id).reason, "no node is connected");
  const int64_t version = job(id).version;
  schedule_for({});
  EXPECT_EQ(job(id).version, version);
  box = add_node("box");
  schedule_for({});
  EXPECT_EQ(job(id).reason, "the only slot of 1 suitable node is busy");
  EXPECT_EQ(job(id).version, version + 1);
}

TEST_F(LifecycleTest, AQueueTimeoutExpiresTheJob) {
  const JobId id = submit_job();
  wait_out(Millis(86'400'000 - 1));
  EXPECT_EQ(state(id), JobState::kQueued);
  wait_out(Millis(1));
  EXPECT_EQ(state(id), JobState::kExpired);
  EXPECT_EQ(job(id).reason, "no node took it within its queue_timeout: waiting for the scheduler");
}

TEST_F(LifecycleTest, AnExpiredJobSaysWhatItWaitedFor) {
  const JobId id = submit_job();
  must_do([&](auto& db) { return db.execute("DELETE FROM nodes"); });
  schedule_for({});
  wait_out(Millis(86'400'000));
  EXPECT_EQ(state(id), JobState::kExpired);
  EXPECT_EQ(job(id).reason, "no node took it within its queue_timeout: no node is connected");
}

TEST_F(LifecycleTest, ANodeThatNeverEndsAJobIsToldToStopAndThenGivenUp) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  LeaseAction action = LeaseAction::kKeep;
  const auto beat_until = [&](auto reached) {
    for (int i = 0; i < 1000 && !reached(); ++i) {
      pass(Millis(20'000));
      action = beat(box, {holds(lease, kRunning)}).attempts[0].action;
      reconcile_now();
    }
  };
  beat_until([&] { return action == LeaseAction::kCancel; });
  EXPECT_EQ(action, LeaseAction::kCancel);
  EXPECT_GE(now - job(id).created_at, Millis(3600'000) + kOverrun);
  EXPECT_EQ(state(id), JobState::kActive);
  beat_until([&] { return action == LeaseAction::kFence; });
  EXPECT_EQ(state(id), JobState::kFailed);
  EXPECT_EQ(job(id).reason_code, "overrun");
  EXPECT_FALSE(published(box, lease, result_with(Outcome::kFinished)));
}

TEST_F(LifecycleTest, ANodeThatGivesAJobBackIsPreemptedAndItRunsAgain) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  EXPECT_TRUE(published(box, lease, result_with(Outcome::kCancelled)));
  EXPECT_EQ(attempt_state(id), AttemptState::kPreempted);
  EXPECT_EQ(state(id), JobState::kQueued);
}

TEST_F(LifecycleTest, AfterARestartEveryLeaseHasItsWholeTime) {
  const JobId id = submit_job();
  const Lease lease = grant_to(box);
  beat(box, {holds(lease, kRunning)});
  pass(Millis(3'600'000));
  must_do([&](auto& db) { return grace(db, now, timing); });
  wait_out(Millis(119'999));
  EXPECT_EQ(attempt_state(id), AttemptState::kUnknown);
  beat(box, {holds(lease, kRunning)});
  EXPECT_EQ(attempt_state(id), kRunning);
  wait_out(Millis(120'000));
  EXPECT_EQ(attempt_state(id), AttemptState::kLost);
}

TEST_F(LifecycleTest, AStoredTextThatCannotBeReadIsAnErrorForWhoAsks) {
  const NodeId node = add_node("n");
  const JobId id = submit_job();
  EXPECT_TRUE(published(node, grant_to(node), result_with(Outcome::kFinished)));
  must_do([](store::Connection& db) -> Result<void> {
    BCAI_TRY(db.prepare("UPDATE results SET result = '{\"detail\":\"' || x'C3' || '\"}'").run());
    return {};
  });
  const auto result = in([&](auto& db) { return find_result(db, id); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDataLoss);
  must_do([](store::Connection& db) -> Result<void> {
    BCAI_TRY(db.prepare("UPDATE jobs SET spec = '[]'").run());
    return {};
  });
  const auto record = in([&](auto& db) { return find_job(db, id); });
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace bcai::coordinator
