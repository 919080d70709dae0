// SPDX-License-Identifier: Apache-2.0
// The state of a job is a function of what the user wants and of its attempts: this one. It does
// not know the job's present state; protocol/state.h says whether the step is allowed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
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
  int replica = 0;
  std::optional<Sha256> commitment;  // of what it computed
  std::optional<bool> agrees;        // with the re-run
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

// Of a job that several nodes run. Its replicas' answers, results or failures that are the job's
// own, count when all of them are there; a replica whose attempt ended through no fault of the job
// is placed again then. Answers that differ wait, as kVerifying, for the re-run: `rerun_said` is
// its sentence, "" before it has ended.
Verdict judge_replicas(Desired desired, int max_retries, int replicas,
                       const std::vector<AttemptFact>& attempts, const std::string& rerun_said);

// The newest attempt of each replica; null where there is none.
std::vector<const AttemptFact*> newest_of_replicas(const std::vector<AttemptFact>& attempts,
                                                   int replicas);
// It ended and says something about the job.
bool is_answer(const AttemptFact& attempt);

}  // namespace bcai::coordinator
