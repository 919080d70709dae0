// SPDX-License-Identifier: Apache-2.0
// Jobs that several nodes run: placed together, each replica fenced for itself, compared when all
// have answered.
#include <set>

#include "coordinator/jobs/jobs_fixture.h"
#include "coordinator/store/artifacts.h"
#include "protocol/program_exit.h"

namespace bcai::coordinator {
namespace {

struct ReplicasTest : JobsFixture {
  std::vector<NodeId> nodes;

  JobId submit_replicas(int replicas, int max_retries = 3) {
    Submission made = submission();
    made.spec.code.clear();
    made.spec.program = "model.bcvm";
    made.spec.files = {{.path = "model.bcvm", .sha256 = {}, .bytes = 1}};
    made.spec.replicas = replicas;
    made.spec.max_retries = max_retries;
    made.quote = "{}";
    must([&](auto& db) { return submit(db, now, made); });
    return made.id;
  }
  void add_nodes(int count) {
    for (int i = 0; i < count; ++i) nodes.push_back(add_node(fmt::format("node {}", i)));
  }
  std::vector<Grant> schedule_all() {
    std::vector<Waiting> waiting;
    for (const NodeId node : nodes) waiting.push_back({.node = node, .free = room(), .held = {}});
    return schedule_for(waiting);
  }
  static AttemptResult answer(std::string_view what) {
    AttemptResult result = result_with(Outcome::kFinished);
    result.commitment = Sha256::of(what);
    return result;
  }
  JobRecord record(JobId job) {
    return must([&](auto& db) { return find_job(db, job); });
  }
  Verification verification(JobId job) {
    std::vector<Finding> findings;
    Verification found = decode_verification(record(job).verification, &findings);
    EXPECT_TRUE(findings.empty()) << findings_text(findings);
    return found;
  }
  std::optional<Dispute> dispute() {
    return must([&](auto& db) { return find_dispute(db); });
  }
};

TEST_F(ReplicasTest, AllAreGrantedTogetherOnNodesOfTheirOwn) {
  add_nodes(2);
  const JobId job = submit_replicas(3);
  EXPECT_TRUE(schedule_all().empty());
  EXPECT_EQ(record(job).reason, "needs 3 nodes, 2 fit");
  add_nodes(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 3U);
  std::set<NodeId> used;
  std::set<int64_t> epochs;
  for (const Grant& grant : grants) {
    used.insert(grant.node);
    epochs.insert(grant.lease.epoch);
  }
  EXPECT_EQ(used.size(), 3U);
  EXPECT_EQ(epochs, (std::set<int64_t>{1, 2, 3}));
  EXPECT_EQ(record(job).state, JobState::kActive);
}

TEST_F(ReplicasTest, ASuccessThatNobodyCheckedIsNotTaken) {
  add_nodes(1);
  const JobId job = submit_replicas(1);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 1U);
  const auto taken = send_result(grants[0].node, grants[0].lease, result_with(Outcome::kFinished));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(record(job).state, JobState::kSucceeded);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, answer("a")));
  EXPECT_EQ(record(job).state, JobState::kSucceeded);
}

TEST_F(ReplicasTest, OnlyWhatTheProgramDidIsTheJobsOwnFailure) {
  for (const int exit_code : {1, 2, 127, 134, 137}) {
    nodes.clear();
    add_nodes(1);
    const JobId job = submit_replicas(1);
    const auto grants = schedule_all();
    ASSERT_EQ(grants.size(), 1U);
    EXPECT_TRUE(
        published(grants[0].node, grants[0].lease, result_with(Outcome::kFinished, exit_code)));
    EXPECT_EQ(record(job).state, JobState::kQueued) << exit_code;
    cancel_job(job);
  }
  nodes.clear();
  add_nodes(1);
  const JobId job = submit_replicas(1);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease,
                        result_with(Outcome::kFinished, kProgramFailedExit)));
  EXPECT_EQ(record(job).state, JobState::kFailed);
}

TEST_F(ReplicasTest, WhatOneAnsweredIsNotForThoseStillAtIt) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  AttemptResult first = answer("a");
  first.artifacts = {{"outputs.safetensors", Sha256::of("its results"), 1}};
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, first));
  const auto may = [&](const Sha256& sha256) {
    return must([&](auto& db) { return store::may_read(db, grants[1].node, sha256); });
  };
  EXPECT_TRUE(may(Sha256{}));  // the program
  EXPECT_FALSE(may(Sha256::of("its results")));
  EXPECT_EQ(record(job).state, JobState::kActive);
}

TEST_F(ReplicasTest, EqualAnswersSucceedWhenTheLastIsThere) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, answer("a")));
  EXPECT_EQ(record(job).state, JobState::kActive);
  EXPECT_FALSE(in([&](auto& db) { return find_result(db, job); }));  // nobody sees half of it
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, answer("a")));
  EXPECT_EQ(record(job).state, JobState::kSucceeded);
  EXPECT_EQ(verification(job).verdict, Verification::Verdict::kAgreed);
  EXPECT_EQ(verification(job).answers.size(), 2U);
  EXPECT_FALSE(dispute());
}

TEST_F(ReplicasTest, ALeaseGivenAgainHasItsOwnEpoch) {
  add_nodes(2);
  submit_replicas(2);
  const auto grants = schedule_all();
  pass(timing.offer_ttl);
  for (const Grant& grant : grants) {
    const auto again = schedule_for({{.node = grant.node, .free = room(), .held = {}}});
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].lease.attempt, grant.lease.attempt);
    EXPECT_EQ(again[0].lease.epoch, grant.lease.epoch);
  }
}

TEST_F(ReplicasTest, ALostOneIsReplacedOnAnotherNodeAndFenced) {
  add_nodes(3);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  beat(grants[0].node, {holds(grants[0].lease, AttemptState::kRunning)});
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, answer("a")));
  pass(timing.unknown_after);
  reconcile_now();
  pass(timing.lost_after);
  reconcile_now();
  EXPECT_EQ(record(job).state, JobState::kQueued);
  for (const NodeId node : nodes) beat(node, {});
  const auto more = schedule_all();
  ASSERT_EQ(more.size(), 1U);
  EXPECT_NE(more[0].node, grants[0].node);
  EXPECT_NE(more[0].node, grants[1].node);
  EXPECT_FALSE(published(grants[0].node, grants[0].lease, answer("late")));
  EXPECT_TRUE(published(more[0].node, more[0].lease, answer("a")));
  EXPECT_EQ(record(job).state, JobState::kSucceeded);
}

TEST_F(ReplicasTest, NoTwoReplicasOfAJobOnOneNode) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, answer("a")));
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, result_with(Outcome::kNodeFailure)));
  EXPECT_EQ(record(job).state, JobState::kQueued);
  EXPECT_TRUE(schedule_for({{.node = grants[0].node, .free = room(), .held = {}}}).empty());
  // The one that failed it gets it again, since there is no other.
  EXPECT_EQ(schedule_for({{.node = grants[1].node, .free = room(), .held = {}}}).size(), 1U);
}

TEST_F(ReplicasTest, DifferentAnswersWaitForTheReRun) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, answer("a lie")));
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, answer("true")));
  EXPECT_EQ(record(job).state, JobState::kVerifying);
  std::optional<Dispute> found = dispute();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->job, job);
  ASSERT_EQ(found->answers.size(), 2U);
  Verification decided{.verdict = Verification::Verdict::kDiffered,
                       .reason = "node 0 differs",
                       .rerun_commitment = Sha256::of("true"),
                       .answers = {}};
  for (Dispute::Answer& one : found->answers) {
    one.answer.agrees = one.answer.commitment == decided.rerun_commitment;
    decided.answers.push_back(one.answer);
  }
  must_do([&](auto& db) { return resolve(db, now, job, decided); });
  EXPECT_EQ(record(job).state, JobState::kSucceeded);
  EXPECT_EQ(record(job).published, grants[1].lease.attempt);
  EXPECT_EQ(record(job).reason, "node 0 differs");
  EXPECT_FALSE(dispute());
  // Said again, it changes nothing.
  const int64_t version = record(job).version;
  must_do([&](auto& db) { return resolve(db, now, job, decided); });
  EXPECT_EQ(record(job).version, version);
}

TEST_F(ReplicasTest, WithoutAReRunItIsDisputedInTheEnd) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, answer("a")));
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, answer("b")));
  pass(Millis(3 * 3'600'000 + 1));
  reconcile_now();
  EXPECT_EQ(record(job).state, JobState::kDisputed);
  EXPECT_EQ(verification(job).verdict, Verification::Verdict::kUndecided);
  EXPECT_FALSE(in([&](auto& db) { return find_result(db, job); }));
}

TEST_F(ReplicasTest, AFailureIsAnAnswerAndCanBeALie) {
  add_nodes(2);
  const JobId all_fail = submit_replicas(2);
  auto grants = schedule_all();
  for (const Grant& grant : grants) {
    EXPECT_TRUE(
        published(grant.node, grant.lease, result_with(Outcome::kFinished, kProgramFailedExit)));
  }
  EXPECT_EQ(record(all_fail).state, JobState::kFailed);
  const JobId one_fails = submit_replicas(2);
  grants = schedule_all();
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_TRUE(published(grants[0].node, grants[0].lease,
                        result_with(Outcome::kFinished, kProgramFailedExit)));
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, answer("a")));
  EXPECT_EQ(record(one_fails).state, JobState::kVerifying);
  Verification decided{.verdict = Verification::Verdict::kDiffered,
                       .reason = "it does fail",
                       .rerun_commitment = {},
                       .answers = {}};
  std::optional<Dispute> found = dispute();
  ASSERT_TRUE(found);
  for (Dispute::Answer& one : found->answers) {
    one.answer.agrees = !one.answer.commitment.has_value();
    decided.answers.push_back(one.answer);
  }
  must_do([&](auto& db) { return resolve(db, now, one_fails, decided); });
  EXPECT_EQ(record(one_fails).state, JobState::kFailed);
}

TEST_F(ReplicasTest, CancelEndsAllOfThem) {
  add_nodes(2);
  const JobId job = submit_replicas(2);
  const auto grants = schedule_all();
  for (const Grant& grant : grants) {
    beat(grant.node, {holds(grant.lease, AttemptState::kRunning)});
  }
  must_do([&](auto& db) { return cancel(db, now, job, "user"); });
  for (const Grant& grant : grants) {
    const HeartbeatReply reply = beat(grant.node, {holds(grant.lease, AttemptState::kRunning)});
    ASSERT_EQ(reply.attempts.size(), 1U);
    EXPECT_EQ(reply.attempts[0].action, LeaseAction::kCancel);
  }
  EXPECT_TRUE(published(grants[0].node, grants[0].lease, result_with(Outcome::kCancelled)));
  EXPECT_EQ(record(job).state, JobState::kActive);
  EXPECT_TRUE(published(grants[1].node, grants[1].lease, result_with(Outcome::kCancelled)));
  EXPECT_EQ(record(job).state, JobState::kCancelled);
}

}  // namespace
}  // namespace bcai::coordinator
