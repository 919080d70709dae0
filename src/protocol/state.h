// SPDX-License-Identifier: Apache-2.0
// The states of jobs and attempts and the only transitions there are. A transition that the tables
// do not hold is refused. What the user wants (Desired) is a column of its own, never a state.
//
//   JOB      queued ─► active ─► verifying ─► succeeded
//              │         │           └──────► active (mismatch, more replicas) | disputed | failed
//              ├─► expired               held (poison, needs a human)
//              └─► cancelled   failed (reason class)   lost (attempts exhausted)
//   ATTEMPT  offered ─► leased ─► staging ─► running ─► uploading ─► completed
//                         └─────────┴──────────┴─► unknown (no heartbeat) ─► running | lost
//                         └─► failed | preempted | cancelled | fenced
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace bcai {

enum class JobState : uint8_t {
  kQueued,
  kActive,
  kVerifying,
  kSucceeded,
  kFailed,
  kCancelled,
  kExpired,
  kHeld,
  kLost,
  kDisputed,
};

enum class AttemptState : uint8_t {
  kOffered,
  kLeased,
  kStaging,
  kRunning,
  kUploading,
  kUnknown,
  kCompleted,
  kFailed,
  kPreempted,
  kCancelled,
  kFenced,
  kLost,
};

enum class Desired : uint8_t { kRun, kCancel, kCheckpointAndStop };

// How an attempt ended, from kernel facts.
enum class Outcome : uint8_t {
  kFinished,  // by itself; see the exit code
  kOutOfMemory,
  kTimedOut,  // wall clock
  kOverCpu,
  kOverOutput,
  kOverProcesses,
  kCancelled,
  kPolicyViolation,
  kEnvironmentFailed,  // its requirements, its environment lock or its secrets cannot be met
  kNodeFailure,        // says nothing about the job
};

// Decides about a retry: only kInfra is retried.
enum class FailureClass : uint8_t { kNone, kUser, kOutOfMemory, kTimeout, kPolicy, kInfra };

std::string_view name(JobState state);  // "queued", …
std::string_view name(AttemptState state);
std::string_view name(Desired desired);
std::string_view name(Outcome outcome);  // "finished", "out_of_memory", …
std::string_view name(FailureClass failure);

Result<JobState> parse_job_state(std::string_view text);
Result<AttemptState> parse_attempt_state(std::string_view text);
Result<Desired> parse_desired(std::string_view text);
Result<Outcome> parse_outcome(std::string_view text);

bool is_terminal(JobState state);
bool is_terminal(AttemptState state);
bool may_become(JobState from, JobState to);
bool may_become(AttemptState from, AttemptState to);

// The states from which `to` may be reached: the guard of the statement that makes the transition.
std::span<const JobState> sources_of(JobState to);
std::span<const AttemptState> sources_of(AttemptState to);

FailureClass failure_class(Outcome outcome, int exit_code);

}  // namespace bcai
