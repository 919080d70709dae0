// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/verdict.h"

#include <gtest/gtest.h>

namespace bcai::coordinator {
namespace {

AttemptFact attempt(uint8_t node, AttemptState state, FailureClass failure = FailureClass::kNone) {
  AttemptFact fact{.state = state, .failure = failure, .code = "c", .reason = "r"};
  fact.node.bytes[0] = node;
  fact.id.bytes[0] = static_cast<uint8_t>(node + 100);
  fact.has_result = state == AttemptState::kCompleted || state == AttemptState::kFailed;
  return fact;
}

constexpr auto kLost = AttemptState::kLost;
constexpr auto kFailed = AttemptState::kFailed;
constexpr auto kInfra = FailureClass::kInfra;

TEST(VerdictTest, WithoutAttempts) {
  EXPECT_EQ(judge(Desired::kRun, 3, {}).state, JobState::kQueued);
  EXPECT_EQ(judge(Desired::kCancel, 3, {}).state, JobState::kCancelled);
}

TEST(VerdictTest, ALiveAttemptIsActiveWhateverTheUserWants) {
  for (AttemptState state : {AttemptState::kOffered, AttemptState::kRunning, AttemptState::kUnknown,
                             AttemptState::kUploading}) {
    EXPECT_EQ(judge(Desired::kRun, 0, {attempt(1, state)}).state, JobState::kActive);
    EXPECT_EQ(judge(Desired::kCancel, 0, {attempt(1, state)}).state, JobState::kActive);
    EXPECT_EQ(judge(Desired::kRun, 3, {attempt(1, kLost, kInfra), attempt(2, state)}).state,
              JobState::kActive);
  }
}

TEST(VerdictTest, AFinishedOnePublishesItsResultEvenAfterAWishToCancel) {
  for (Desired desired : {Desired::kRun, Desired::kCancel}) {
    const Verdict verdict =
        judge(desired, 3, {attempt(1, kLost, kInfra), attempt(2, AttemptState::kCompleted)});
    EXPECT_EQ(verdict.state, JobState::kSucceeded);
    ASSERT_TRUE(verdict.published);
    EXPECT_EQ(verdict.published->bytes[0], 102);
  }
}

TEST(VerdictTest, WhatTheJobDidIsNotTriedAgain) {
  for (FailureClass failure : {FailureClass::kUser, FailureClass::kOutOfMemory,
                               FailureClass::kTimeout, FailureClass::kPolicy}) {
    const Verdict verdict = judge(Desired::kRun, 3, {attempt(1, kFailed, failure)});
    EXPECT_EQ(verdict.state, JobState::kFailed);
    EXPECT_TRUE(verdict.published);
  }
}

TEST(VerdictTest, InfrastructureIsTriedAgainUpToTheLimit) {
  std::vector<AttemptFact> attempts;
  for (int i = 0; i < 3; ++i) {
    attempts.push_back(attempt(1, kLost, kInfra));
    EXPECT_EQ(judge(Desired::kRun, 3, attempts).state, JobState::kQueued);
  }
  attempts.push_back(attempt(1, kLost, kInfra));
  EXPECT_EQ(judge(Desired::kRun, 3, attempts).state, JobState::kLost);
  EXPECT_EQ(judge(Desired::kRun, 0, {attempt(1, kFailed, kInfra)}).state, JobState::kLost);
  EXPECT_EQ(judge(Desired::kCancel, 3, {attempt(1, kLost, kInfra)}).state, JobState::kCancelled);
}

TEST(VerdictTest, ALateResultOfALostAttemptChangesNothing) {
  const auto fenced = attempt(1, AttemptState::kFenced, kInfra);
  EXPECT_EQ(judge(Desired::kRun, 3, {fenced}).state, JobState::kQueued);
  EXPECT_EQ(judge(Desired::kRun, 0, {fenced}).state, JobState::kLost);
  EXPECT_FALSE(judge(Desired::kRun, 0, {fenced}).published);
}

TEST(VerdictTest, ThreeNodesThatFailHoldTheJob) {
  const auto same_node = std::vector(3, attempt(1, kFailed, kInfra));
  EXPECT_EQ(judge(Desired::kRun, 9, same_node).state, JobState::kQueued);
  const std::vector<AttemptFact> silent{attempt(1, kLost, kInfra), attempt(2, kLost, kInfra),
                                        attempt(3, kLost, kInfra)};
  EXPECT_EQ(judge(Desired::kRun, 9, silent).state, JobState::kQueued);
  const std::vector<AttemptFact> poisoned{attempt(1, kFailed, kInfra), attempt(2, kFailed, kInfra),
                                          attempt(3, kFailed, kInfra)};
  EXPECT_EQ(judge(Desired::kRun, 9, poisoned).state, JobState::kHeld);
  EXPECT_EQ(judge(Desired::kCancel, 9, poisoned).state, JobState::kCancelled);
}

}  // namespace
}  // namespace bcai::coordinator
