// SPDX-License-Identifier: Apache-2.0
// The state of a job is a function of what the user wants and of its attempts: this one. It does
// not know the job's present state; protocol/state.h says whether the step is allowed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "protocol/state.h"

namespace bcai::coordinator {

struct AttemptFact {
  AttemptId id;
  NodeId node;
  AttemptState state = AttemptState::kOffered;
  FailureClass failure = FailureClass::kNone;
  std::string code;
  std::string reason;
  bool has_result = false;
};

struct Verdict {
  JobState state = JobState::kQueued;
  std::string code;
  std::string reason;
  std::optional<AttemptId> published;  // whose result is now the job's
};

// A job that this many nodes could not run is held: it may be what breaks them.
inline constexpr int kPoisonNodes = 3;

// `attempts` oldest first. kSucceeded means: by way of kVerifying.
Verdict judge(Desired desired, int max_retries, const std::vector<AttemptFact>& attempts);

}  // namespace bcai::coordinator
