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

// `last` of those attempts that ended through no fault of the job.
Verdict after_node_failures(int max_retries, const std::vector<AttemptFact>& attempts,
                            const AttemptFact& last) {
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

Verdict ended_as(JobState state, const AttemptFact& attempt, std::string reason) {
  Verdict verdict{.state = state,
                  .code = state == JobState::kDisputed ? "disputed" : attempt.code,
                  .reason = std::move(reason)};
  if (attempt.has_result && state != JobState::kDisputed) verdict.published = attempt.id;
  return verdict;
}

// Every replica has answered.
Verdict judge_answers(const std::vector<const AttemptFact*>& answers,
                      const std::string& rerun_said) {
  const AttemptFact& first = *answers.front();
  const auto completed = [](const AttemptFact* one) {
    return one->state == AttemptState::kCompleted;
  };
  if (std::none_of(answers.begin(), answers.end(), completed)) {
    return ended_as(JobState::kFailed, first, first.reason);
  }
  const bool equal = std::all_of(answers.begin(), answers.end(), [&](const AttemptFact* one) {
    return completed(one) && one->commitment && one->commitment == first.commitment;
  });
  if (equal) {
    return ended_as(JobState::kSucceeded, first,
                    fmt::format("finished; {} replicas gave the same answer", answers.size()));
  }
  if (rerun_said.empty()) {
    return {.state = JobState::kVerifying,
            .code = "replicas_differ",
            .reason = "its replicas gave different answers; the program is run again"};
  }
  for (const AttemptFact* one : answers) {
    if (one->agrees != true) continue;
    return ended_as(completed(one) ? JobState::kSucceeded : JobState::kFailed, *one, rerun_said);
  }
  return ended_as(JobState::kDisputed, first, rerun_said);
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
  return after_node_failures(max_retries, attempts, last);
}

bool is_answer(const AttemptFact& attempt) {
  return attempt.state == AttemptState::kCompleted ||
         (is_terminal(attempt.state) && attempt.failure != FailureClass::kNone &&
          !is_retriable(attempt));
}

std::vector<const AttemptFact*> newest_of_replicas(const std::vector<AttemptFact>& attempts,
                                                   int replicas) {
  std::vector<const AttemptFact*> newest(static_cast<size_t>(replicas), nullptr);
  for (const AttemptFact& attempt : attempts) {
    newest.at(static_cast<size_t>(attempt.replica)) = &attempt;
  }
  return newest;
}

Verdict judge_replicas(Desired desired, int max_retries, int replicas,
                       const std::vector<AttemptFact>& attempts, const std::string& rerun_said) {
  if (attempts.empty()) return judge(desired, max_retries, attempts);
  const auto live = std::find_if(attempts.rbegin(), attempts.rend(),
                                 [](const AttemptFact& one) { return !is_terminal(one.state); });
  if (live != attempts.rend()) {
    return {.state = JobState::kActive, .code = live->code, .reason = live->reason};
  }
  const auto newest = newest_of_replicas(attempts, replicas);
  const AttemptFact* unanswered = nullptr;
  for (const AttemptFact* one : newest) {
    if (one == nullptr || is_answer(*one)) continue;
    if (unanswered == nullptr || one->state == AttemptState::kCancelled) unanswered = one;
  }
  if (unanswered != nullptr) {
    if (desired == Desired::kCancel || unanswered->state == AttemptState::kCancelled) {
      return {.state = JobState::kCancelled, .code = "cancelled", .reason = unanswered->reason};
    }
    return after_node_failures(max_retries, attempts, *unanswered);
  }
  return judge_answers(newest, rerun_said);
}

}  // namespace bcai::coordinator
