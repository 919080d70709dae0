// SPDX-License-Identifier: Apache-2.0
// For this room's tests: a database in memory, a clock that stands still, and short names for the
// functions of jobs.h, each in a write transaction of its own.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/queries.h"

namespace bcai::coordinator {

struct JobsFixture : ::testing::Test {
  std::unique_ptr<store::Database> database;
  SeededRandom random{1};
  WallTime now{1'700'000'000'000};
  KeyId owner = KeyId::make(now, random);
  Timing timing;
  std::map<NodeId, int64_t> sequences;

  void SetUp() override {
    auto opened = store::Database::open(":memory:");
    ASSERT_TRUE(opened) << opened.error().message;
    database = *std::move(opened);
  }

  // What `work` returns; its error rolls the transaction back.
  template <typename F>
  auto in(F work) {
    decltype(work(std::declval<store::Connection&>())) out = error(ErrorCode::kInternal, "not run");
    const Result<void> written = database->write([&](store::Connection& db) -> Result<void> {
      out = work(db);
      if (!out) return out.error();
      return {};
    });
    EXPECT_EQ(written.has_value(), out.has_value());
    return out;
  }
  template <typename F>
  auto must(F work) {
    auto out = in(work);
    EXPECT_TRUE(out) << out.error().message;
    return *std::move(out);
  }
  template <typename F>
  void must_do(F work) {
    const Result<void> done = database->write(work);
    EXPECT_TRUE(done) << done.error().message;
  }

  void pass(Millis time) { now = now + time; }

  Submission submission(std::string code = "print(1)") {
    Submission made{.id = JobId::make(now, random), .owner = owner, .spec = {}};
    made.spec.name = "job";
    made.spec.code = std::move(code);
    return made;
  }
  JobId submit_job(int max_retries = 3) {
    Submission made = submission();
    made.spec.max_retries = max_retries;
    must([&](auto& db) { return submit(db, now, made); });
    return made.id;
  }
  NodeId add_node(std::string name, int slots = 1) {
    NodeRegistration registration;
    registration.name = std::move(name);
    random.fill(registration.public_key);
    registration.capabilities = {.cpu_millicores = 16'000,
                                 .memory_bytes = 64'000'000'000,
                                 .disk_bytes = 64'000'000'000,
                                 .slots = slots,
                                 .strangers = true};
    return must([&](auto& db) { return register_node(db, now, random, registration, owner); });
  }
  static Capacity room(int slots = 1) {
    return {.cpu_millicores = 16'000,
            .memory_bytes = 64'000'000'000,
            .disk_bytes = 64'000'000'000,
            .gpu_count = 0,
            .slots = slots};
  }
  std::vector<Grant> schedule_for(const std::vector<Waiting>& waiting) {
    return must([&](auto& db) { return schedule(db, now, random, waiting, timing); });
  }
  // One lease to the node.
  Lease grant_to(NodeId node) {
    auto grants = schedule_for({{.node = node, .free = room(), .held = {}}});
    EXPECT_EQ(grants.size(), 1U);
    return grants.empty() ? Lease{} : grants.front().lease;
  }
  static HeartbeatAttempt holds(const Lease& lease, AttemptState state) {
    return {.attempt = lease.attempt, .epoch = lease.epoch, .state = state, .progress = {}};
  }
  HeartbeatReply beat(NodeId node, std::vector<HeartbeatAttempt> attempts) {
    const Heartbeat sent{
        .sequence = ++sequences[node], .free = room(), .attempts = std::move(attempts)};
    return must([&](auto& db) { return heartbeat(db, now, node, sent, timing); });
  }
  static AttemptResult result_with(Outcome outcome, int exit_code = 0) {
    AttemptResult result;
    result.outcome = outcome;
    result.exit_code = exit_code;
    return result;
  }
  Result<Completion> send_result(NodeId node, const Lease& lease, const AttemptResult& result) {
    return in([&](auto& db) {
      return complete(db, now, node, lease.attempt, lease.epoch, result,
                      [](const Sha256&) { return true; });
    });
  }
  bool published(NodeId node, const Lease& lease, const AttemptResult& result) {
    const auto completion = send_result(node, lease, result);
    EXPECT_TRUE(completion) << completion.error().message;
    return completion->published;
  }
  Reconciled reconcile_now() {
    return must([&](auto& db) { return reconcile(db, now, timing); });
  }
  // Lets time pass as the coordinator would see it: at each deadline.
  void wait_out(Millis time) {
    const WallTime end = now + time;
    while (true) {
      const WallTime next = reconcile_now().next;
      if (next > end) break;
      now = std::max(next, now + Millis(1));
    }
    now = end;
    reconcile_now();
  }
  void cancel_job(JobId id) {
    must_do([&](store::Connection& db) { return cancel(db, now, id, "user"); });
  }

  JobRecord job(JobId id) {
    return must([&](auto& db) { return find_job(db, id); });
  }
  JobState state(JobId id) { return job(id).state; }
  AttemptState attempt_state(JobId id) { return job(id).attempts.back().state; }
  std::vector<std::string> kinds(JobId id) {
    std::vector<std::string> out;
    const auto events = must([&](auto& db) { return job_events(db, id); });
    for (const EventRecord& event : events) out.push_back(event.kind);
    return out;
  }
};

}  // namespace bcai::coordinator
