// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/verdict.h"

#include <algorithm>
#include <set>

#include "base/result.h"

namespace bcai::coordinator {
namespace {

bool is_retriable(const AttemptFact& attempt) { return attempt.failure == FailureClass::kInfra; }

// Nodes that said they could not run it. A node that fell silent says nothing about the job.
size_t nodes_that_failed(const std::vector<AttemptFact>& attempts) {
  std::set<NodeId> nodes;
  for (const AttemptFact& attempt : attempts) {
    if (is_retriable(attempt) && attempt.state == AttemptState::kFailed) nodes.insert(attempt.node);
  }
  return nodes.size();
}

Verdict after_node_failures(int max_retries, const std::vector<AttemptFact>& attempts) {
  const AttemptFact& last = attempts.back();
  const size_t nodes = nodes_that_failed(attempts);
  if (nodes >= kPoisonNodes) {
    return {.state = JobState::kHeld,
            .code = "poison",
            .reason = fmt::format("held: {} nodes failed while running it; the last said: {}",
                                  nodes, last.reason)};
  }
  const auto failures = std::count_if(attempts.begin(), attempts.end(), is_retriable);
  if (failures > max_retries) {
    return {.state = JobState::kLost,
            .code = last.code,
            .reason = fmt::format("given up after {} attempt{} that ended through no fault of the "
                                  "job; the last: {}",
                                  failures, failures == 1 ? "" : "s", last.reason)};
  }
  return {.state = JobState::kQueued,
          .code = "retry",
          .reason = fmt::format("attempt {} ended: {}; it will be tried again", attempts.size(),
                                last.reason)};
}

}  // namespace

Verdict judge(Desired desired, int max_retries, const std::vector<AttemptFact>& attempts) {
  if (attempts.empty()) {
    if (desired == Desired::kCancel) {
      return {.state = JobState::kCancelled,
              .code = "cancelled",
              .reason = "cancelled before it started"};
    }
    return {.state = JobState::kQueued, .code = "queued", .reason = "waiting for the scheduler"};
  }
  const AttemptFact& last = attempts.back();
  if (!is_terminal(last.state)) {
    return {.state = JobState::kActive, .code = last.code, .reason = last.reason};
  }
  Verdict verdict{.state = JobState::kCancelled, .code = last.code, .reason = last.reason};
  if (last.has_result) verdict.published = last.id;
  if (last.state == AttemptState::kCompleted) {
    verdict.state = JobState::kSucceeded;
    return verdict;
  }
  if (last.failure != FailureClass::kNone && !is_retriable(last)) {
    verdict.state = JobState::kFailed;
    return verdict;
  }
  if (desired == Desired::kCancel || last.state == AttemptState::kCancelled) {
    verdict.code = "cancelled";
    return verdict;
  }
  return after_node_failures(max_retries, attempts);
}

}  // namespace bcai::coordinator
