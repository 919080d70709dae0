// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/jobs_fixture.h"
#include "coordinator/jobs/stored_text.h"
#include "coordinator/store/artifacts.h"

namespace bcai::coordinator {
namespace {

struct SubmitTest : JobsFixture {
  Result<Submitted> submit_it(const Submission& s) {
    return in([&](auto& db) { return submit(db, now, s); });
  }
  Result<JobRecord> find(JobId id) {
    return in([&](auto& db) { return find_job(db, id); });
  }
};

TEST(NeedsTest, KeepThatSomethingIsBuiltFromSource) {
  JobSpec spec;
  spec.requirements = {"src"};
  EXPECT_FALSE(builds_from_source(*needs_of(needs_text(spec))));
  spec.build_from_source = {"src"};
  EXPECT_TRUE(builds_from_source(*needs_of(needs_text(spec))));
  JobSpec locked;
  locked.environment_lock =
      packaging::Lock{.python = "3.11", .platform = "linux_x86_64", .sources = {{.name = "src"}}};
  EXPECT_TRUE(builds_from_source(*needs_of(needs_text(locked))));
  locked.environment_lock->sources.clear();
  EXPECT_FALSE(builds_from_source(*needs_of(needs_text(locked))));
}

TEST_F(SubmitTest, IsStoredWithEveryFieldAndAnEvent) {
  Submission s = submission();
  s.spec.requirements = {"torch>=2"};
  s.spec.environment = {{"A", "b"}};
  s.spec.files = {{.path = "data.csv", .sha256 = Sha256::of("x"), .bytes = 1}};
  s.spec.hardware.cpu_millicores = 1300;
  ASSERT_TRUE(submit_it(s)->created);
  const auto job = find(s.id);
  ASSERT_TRUE(job) << job.error().message;
  JobSpec expected = s.spec;
  expected.code.clear();
  EXPECT_EQ(job->spec, expected);
  EXPECT_EQ(job->owner, owner);
  EXPECT_EQ(job->state, JobState::kQueued);
  EXPECT_EQ(job->created_at, now);
  EXPECT_FALSE(job->reason.empty());
  const auto events = in([&](auto& db) { return job_events(db, s.id); });
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ((*events)[0].kind, "job.queued");
  EXPECT_TRUE(*in([&](auto& db) { return store::may_read(db, owner, Sha256::of("x")); }));
  const KeyId other = KeyId::make(now, random);
  EXPECT_FALSE(*in([&](auto& db) { return store::may_read(db, other, Sha256::of("x")); }));
}

TEST_F(SubmitTest, AJobIsReadWhateverIsRefusedSinceItWasAdmitted) {
  Submission s = submission();
  s.spec.files = {{.path = ".bcai/x", .sha256 = Sha256::of("x"), .bytes = 1}};
  std::vector<Finding> findings;
  decode_job_spec(encode(s.spec), &findings);
  ASSERT_FALSE(findings.empty());
  ASSERT_TRUE(submit_it(s)->created);
  EXPECT_EQ(find(s.id)->spec.files, s.spec.files);
}

TEST_F(SubmitTest, TheSameAgainIsNotCreatedAgain) {
  const Submission s = submission();
  EXPECT_TRUE(submit_it(s)->created);
  EXPECT_FALSE(submit_it(s)->created);
  EXPECT_EQ(in([&](auto& db) { return list_jobs(db, {}); })->size(), 1U);
}

TEST_F(SubmitTest, AnotherBodyUnderTheIdIsRefusedAndNamesIt) {
  Submission s = submission();
  ASSERT_TRUE(submit_it(s));
  s.spec.code = "print(2)";
  const auto again = submit_it(s);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(again.error().message.find(s.id.text()), std::string::npos);
}

TEST_F(SubmitTest, AnotherOwnerUnderTheIdIsRefused) {
  Submission s = submission();
  ASSERT_TRUE(submit_it(s));
  s.owner = KeyId::make(now, random);
  const auto again = submit_it(s);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
}

TEST_F(SubmitTest, RequirementsThatAreNotUnderstoodAreRefused) {
  Submission s = submission();
  s.spec.requirements = {"torch>>2"};
  const auto refused = submit_it(s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("/requirements/0"), std::string::npos);
  EXPECT_EQ(find(s.id).error().code, ErrorCode::kNotFound);
}

TEST_F(SubmitTest, AQueuedJobIsCancelledAtOnceAndStaysSo) {
  const Submission s = submission();
  ASSERT_TRUE(submit_it(s));
  const auto cancel_it = [&] {
    return database->write([&](store::Connection& db) { return cancel(db, now, s.id, "user"); });
  };
  ASSERT_TRUE(cancel_it());
  const auto job = find(s.id);
  EXPECT_EQ(job->state, JobState::kCancelled);
  EXPECT_EQ(job->ended_at, now);
  ASSERT_TRUE(cancel_it());
  EXPECT_EQ(find(s.id)->version, job->version);
  EXPECT_FALSE(
      database->write([&](store::Connection& db) { return cancel(db, now, JobId{}, "user"); }));
}

TEST_F(SubmitTest, ListsNewestFirstByPageOwnerStateAndName) {
  std::vector<JobId> ids;
  const KeyId other = KeyId::make(now, random);
  for (int i = 0; i < 7; ++i) {
    Submission s = submission();
    if (i % 2 == 1) s.owner = other;
    if (i == 4) s.spec.name = "special";
    ids.push_back(s.id);
    ASSERT_TRUE(submit_it(s));
    if (i > 2) now = now + Millis(1);  // the first share a millisecond
  }
  const auto list = [&](JobFilter filter) {
    std::vector<JobId> found;
    const auto jobs = in([&](auto& db) { return list_jobs(db, filter); });
    EXPECT_TRUE(jobs) << jobs.error().message;
    for (const JobRecord& job : *jobs) found.push_back(job.id);
    return found;
  };
  const auto all = list({});
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all.front(), ids[6]);
  std::vector<JobId> paged;
  JobFilter page{.limit = 2};
  while (true) {
    const auto part = list(page);
    if (part.empty()) break;
    paged.insert(paged.end(), part.begin(), part.end());
    page.before = part.back();
  }
  EXPECT_EQ(paged, all);
  EXPECT_EQ(list({.owner = other}).size(), 3U);
  EXPECT_EQ(list({.name = "special"}), std::vector{ids[4]});
  EXPECT_EQ(list({.state = JobState::kActive}).size(), 0U);
  EXPECT_EQ(list({.owner = owner, .state = JobState::kQueued}).size(), 4U);
}

TEST_F(SubmitTest, AWaitingJobTellsHowManyAreAhead) {
  std::vector<JobId> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(submission().id);
    Submission s = submission();
    s.id = ids.back();
    ASSERT_TRUE(submit_it(s));
    now = now + Millis(1);
  }
  EXPECT_EQ(find(ids[0])->reason, "waiting for the scheduler");
  EXPECT_EQ(find(ids[2])->reason, "waiting for the scheduler; 2 jobs are ahead");
}

}  // namespace
}  // namespace bcai::coordinator
