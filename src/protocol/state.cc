// SPDX-License-Identifier: Apache-2.0
#include "protocol/state.h"

#include <algorithm>
#include <array>
#include <vector>

namespace bcai {
namespace {

template <typename State>
struct Transition {
  State from;
  State to;
};

constexpr Transition<JobState> kJobTransitions[] = {
    {JobState::kQueued, JobState::kActive},    {JobState::kQueued, JobState::kCancelled},
    {JobState::kQueued, JobState::kExpired},   {JobState::kQueued, JobState::kHeld},
    {JobState::kActive, JobState::kQueued},  // the attempt is to be retried
    {JobState::kActive, JobState::kVerifying}, {JobState::kActive, JobState::kFailed},
    {JobState::kActive, JobState::kCancelled}, {JobState::kActive, JobState::kLost},
    {JobState::kActive, JobState::kHeld},      {JobState::kVerifying, JobState::kSucceeded},
    {JobState::kVerifying, JobState::kActive}, {JobState::kVerifying, JobState::kDisputed},
    {JobState::kVerifying, JobState::kFailed},  // so did the re-run
    {JobState::kHeld, JobState::kQueued},      {JobState::kHeld, JobState::kCancelled},
};

constexpr Transition<AttemptState> kAttemptTransitions[] = {
    {AttemptState::kOffered, AttemptState::kLeased},
    {AttemptState::kOffered, AttemptState::kCancelled},
    {AttemptState::kOffered, AttemptState::kLost},
    {AttemptState::kLeased, AttemptState::kStaging},
    {AttemptState::kLeased, AttemptState::kRunning},
    {AttemptState::kStaging, AttemptState::kRunning},
    {AttemptState::kRunning, AttemptState::kUploading},
    // A node tells of steps when it can reach the coordinator, and may have passed several.
    {AttemptState::kLeased, AttemptState::kUploading},
    {AttemptState::kStaging, AttemptState::kUploading},
    {AttemptState::kLeased, AttemptState::kCompleted},
    {AttemptState::kStaging, AttemptState::kCompleted},
    {AttemptState::kRunning, AttemptState::kCompleted},
    {AttemptState::kUploading, AttemptState::kCompleted},
    {AttemptState::kUnknown, AttemptState::kCompleted},
    {AttemptState::kLeased, AttemptState::kUnknown},
    {AttemptState::kStaging, AttemptState::kUnknown},
    {AttemptState::kRunning, AttemptState::kUnknown},
    {AttemptState::kUploading, AttemptState::kUnknown},
    {AttemptState::kUnknown, AttemptState::kLeased},
    {AttemptState::kUnknown, AttemptState::kStaging},
    {AttemptState::kUnknown, AttemptState::kRunning},
    {AttemptState::kUnknown, AttemptState::kUploading},
    {AttemptState::kUnknown, AttemptState::kLost},
    // The node says that it does not hold what it was given.
    {AttemptState::kLeased, AttemptState::kLost},
    {AttemptState::kStaging, AttemptState::kLost},
    {AttemptState::kRunning, AttemptState::kLost},
    {AttemptState::kUploading, AttemptState::kLost},
    {AttemptState::kLeased, AttemptState::kFailed},
    {AttemptState::kStaging, AttemptState::kFailed},
    {AttemptState::kRunning, AttemptState::kFailed},
    {AttemptState::kUploading, AttemptState::kFailed},
    {AttemptState::kUnknown, AttemptState::kFailed},
    {AttemptState::kLeased, AttemptState::kCancelled},
    {AttemptState::kStaging, AttemptState::kCancelled},
    {AttemptState::kRunning, AttemptState::kCancelled},
    {AttemptState::kUploading, AttemptState::kCancelled},
    {AttemptState::kUnknown, AttemptState::kCancelled},
    {AttemptState::kLeased, AttemptState::kPreempted},
    {AttemptState::kStaging, AttemptState::kPreempted},
    {AttemptState::kRunning, AttemptState::kPreempted},
    {AttemptState::kUnknown, AttemptState::kPreempted},
    // A late result of an attempt that was given up is kept and never published.
    {AttemptState::kLost, AttemptState::kFenced},
    {AttemptState::kCancelled, AttemptState::kFenced},
};

constexpr std::array<std::string_view, 10> kJobNames{
    "queued",    "active",  "verifying", "succeeded", "failed",
    "cancelled", "expired", "held",      "lost",      "disputed"};
constexpr std::array<std::string_view, 12> kAttemptNames{
    "offered",   "leased", "staging",   "running",   "uploading", "unknown",
    "completed", "failed", "preempted", "cancelled", "fenced",    "lost"};
constexpr std::array<std::string_view, 3> kDesiredNames{"run", "cancel", "checkpoint_and_stop"};
constexpr std::array<std::string_view, 10> kOutcomeNames{
    "finished",       "out_of_memory", "timed_out",        "over_cpu",           "over_output",
    "over_processes", "cancelled",     "policy_violation", "environment_failed", "node_failure"};
constexpr std::array<std::string_view, 6> kFailureNames{"none",    "user",   "out_of_memory",
                                                        "timeout", "policy", "infra"};

template <typename Enum, size_t N>
Result<Enum> parse(std::string_view text, const std::array<std::string_view, N>& names,
                   std::string_view what) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) {
    return error(ErrorCode::kInvalidArgument, "unknown {} '{}'", what, text.substr(0, 64));
  }
  return static_cast<Enum>(found - names.begin());
}

template <size_t kStates, typename State, size_t kRows>
std::array<std::vector<State>, kStates> invert(const Transition<State> (&table)[kRows]) {
  std::array<std::vector<State>, kStates> sources;
  for (const auto& transition : table) {
    sources[static_cast<size_t>(transition.to)].push_back(transition.from);
  }
  return sources;
}

}  // namespace

std::string_view name(JobState state) { return kJobNames[static_cast<size_t>(state)]; }
std::string_view name(AttemptState state) { return kAttemptNames[static_cast<size_t>(state)]; }
std::string_view name(Desired desired) { return kDesiredNames[static_cast<size_t>(desired)]; }
std::string_view name(Outcome outcome) { return kOutcomeNames[static_cast<size_t>(outcome)]; }
std::string_view name(FailureClass failure) { return kFailureNames[static_cast<size_t>(failure)]; }

Result<JobState> parse_job_state(std::string_view text) {
  return parse<JobState>(text, kJobNames, "job state");
}
Result<AttemptState> parse_attempt_state(std::string_view text) {
  return parse<AttemptState>(text, kAttemptNames, "attempt state");
}
Result<Desired> parse_desired(std::string_view text) {
  return parse<Desired>(text, kDesiredNames, "desired state");
}
Result<Outcome> parse_outcome(std::string_view text) {
  return parse<Outcome>(text, kOutcomeNames, "outcome");
}

bool is_terminal(JobState state) {
  return state != JobState::kQueued && state != JobState::kActive &&
         state != JobState::kVerifying && state != JobState::kHeld;
}

bool is_terminal(AttemptState state) { return state >= AttemptState::kCompleted; }

std::span<const JobState> sources_of(JobState to) {
  static const auto sources = invert<kJobNames.size()>(kJobTransitions);
  return sources[static_cast<size_t>(to)];
}

std::span<const AttemptState> sources_of(AttemptState to) {
  static const auto sources = invert<kAttemptNames.size()>(kAttemptTransitions);
  return sources[static_cast<size_t>(to)];
}

bool may_become(JobState from, JobState to) {
  const auto sources = sources_of(to);
  return std::find(sources.begin(), sources.end(), from) != sources.end();
}

bool may_become(AttemptState from, AttemptState to) {
  const auto sources = sources_of(to);
  return std::find(sources.begin(), sources.end(), from) != sources.end();
}

FailureClass failure_class(Outcome outcome, int exit_code) {
  switch (outcome) {
    case Outcome::kFinished: return exit_code == 0 ? FailureClass::kNone : FailureClass::kUser;
    case Outcome::kOutOfMemory: return FailureClass::kOutOfMemory;
    case Outcome::kTimedOut:
    case Outcome::kOverCpu: return FailureClass::kTimeout;
    case Outcome::kOverOutput:
    case Outcome::kOverProcesses:
    case Outcome::kEnvironmentFailed: return FailureClass::kUser;
    case Outcome::kCancelled: return FailureClass::kNone;
    case Outcome::kPolicyViolation: return FailureClass::kPolicy;
    case Outcome::kNodeFailure: return FailureClass::kInfra;
  }
  return FailureClass::kInfra;
}

}  // namespace bcai
