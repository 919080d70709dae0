// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/job_head.h"

#include "coordinator/store/row.h"

namespace bcai::coordinator {

Result<JobHead> find_job_head(store::Connection& db, JobId job) {
  store::Statement row =
      db.prepare("SELECT state, version, owner, created_at FROM jobs WHERE id = ?");
  row.bind_blob(store::bytes_of(job));
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kNotFound, "there is no job {}", job.text());
  BCAI_TRY_ASSIGN(const JobState state, parse_job_state(row.text(0)));
  return JobHead{.state = state,
                 .version = row.integer(1),
                 .owner = store::bytes_at<KeyId>(row, 2),
                 .created_at = store::time_at(row, 3)};
}

Result<std::vector<JobId>> jobs_held_by(store::Connection& db, NodeId node) {
  store::Statement row =
      db.prepare("SELECT job FROM attempts WHERE node = ? AND deadline IS NOT NULL");
  row.bind_blob(store::bytes_of(node));
  std::vector<JobId> jobs;
  for (;;) {
    BCAI_TRY_ASSIGN(const bool found, row.step());
    if (!found) return jobs;
    jobs.push_back(store::bytes_at<JobId>(row, 0));
  }
}

Result<bool> has_work_for_nodes(store::Connection& db) {
  store::Statement row = db.prepare(
      "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued')"
      " OR EXISTS (SELECT 1 FROM attempts INDEXED BY attempts_offered WHERE state = 'offered')");
  BCAI_TRY(row.step());
  return row.integer(0) != 0;
}

Result<AttemptId> find_result_attempt(store::Connection& db, JobId job) {
  store::Statement row = db.prepare(
      "SELECT r.attempt FROM jobs j JOIN results r ON r.job = j.id"
      " WHERE j.id = ? AND (r.attempt = j.published"
      "  OR (j.published IS NULL AND r.fenced = 0 AND j.replicas = 1))"
      " ORDER BY r.received_at DESC LIMIT 1");
  row.bind_blob(store::bytes_of(job));
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kNotFound, "job {} has no result", job.text());
  return store::bytes_at<AttemptId>(row, 0);
}

Result<std::vector<JobCount>> count_jobs(store::Connection& db) {
  store::Statement row = db.prepare("SELECT state, count(*) FROM jobs GROUP BY state");
  std::vector<JobCount> counts;
  for (;;) {
    BCAI_TRY_ASSIGN(const bool found, row.step());
    if (!found) return counts;
    BCAI_TRY_ASSIGN(const JobState state, parse_job_state(row.text(0)));
    counts.push_back({.state = state, .count = row.integer(1)});
  }
}

}  // namespace bcai::coordinator
