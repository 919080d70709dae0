// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/stored_text.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/artifacts.h"
#include "coordinator/store/row.h"
#include "packaging/requirement.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;

Result<bool> insert_job(store::Connection& db, WallTime now, const Submission& submission) {
  const JobSpec& spec = submission.spec;
  const std::string needs = needs_text(spec);
  const Millis queue_timeout(spec.queue_timeout_s * 1000);
  store::Statement insert = db.prepare(
      "INSERT INTO jobs (id, owner, digest, name, state, desired, responsible, deadline,"
      " reason_code, reason, version, epoch, created_at, max_retries, timeout_ms,"
      " queue_timeout_ms, shape, needs, replicas, quote, spec, code)"
      " VALUES (?, ?, ?, ?, 'queued', 'run', 'scheduler', ?, 'queued',"
      " 'waiting for the scheduler', 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT (id) DO NOTHING");
  insert.bind_blob(bytes_of(submission.id)).bind_blob(bytes_of(submission.owner));
  insert.bind_blob(bytes_of(digest(spec))).bind(spec.name).bind((now + queue_timeout).ms);
  insert.bind(now.ms).bind(spec.max_retries).bind(spec.timeout_s * 1000);
  insert.bind(queue_timeout.count()).bind(shape_of(needs)).bind(needs);
  insert.bind(spec.replicas).bind(submission.quote);
  BCAI_TRY_ASSIGN(const int64_t rows, insert.bind(spec_text(spec)).bind(spec.code).run());
  return rows == 1;
}

Result<Submitted> compare_with_stored(store::Connection& db, const Submission& submission) {
  store::Statement row = db.prepare("SELECT owner, digest FROM jobs WHERE id = ?");
  BCAI_TRY(row.bind_blob(bytes_of(submission.id)).step());
  if (bytes_at<KeyId>(row, 0) != submission.owner) {
    return error(ErrorCode::kAlreadyExists, "the id {} is taken by another owner's job",
                 submission.id.text());
  }
  if (bytes_at<Sha256>(row, 1) != digest(submission.spec)) {
    return error(ErrorCode::kAlreadyExists,
                 "job {} was submitted before with another specification", submission.id.text());
  }
  return Submitted{.created = false};
}

}  // namespace

void check_spec(const JobSpec& spec, std::vector<Finding>* findings) {
  packaging::check_requirements(spec.requirements, findings);
}

Result<Submitted> submit(store::Connection& db, WallTime now, const Submission& submission) {
  std::vector<Finding> findings;
  check_spec(submission.spec, &findings);
  if (!findings.empty()) {
    return Error{ErrorCode::kInvalidArgument, findings_text(findings)};
  }
  BCAI_TRY_ASSIGN(const bool created, insert_job(db, now, submission));
  if (!created) return compare_with_stored(db, submission);
  BCAI_TRY(add_event(db, now, submission.id, std::nullopt, "job.queued",
                     {.actor = "user", .code = "queued", .reason = "waiting for the scheduler"}));
  for (const InputFile& file : submission.spec.files) {
    BCAI_TRY(
        store::insert_artifact_use(db, file.sha256, submission.id, store::ArtifactUse::kInput));
  }
  return Submitted{.created = true};
}

Result<void> cancel(store::Connection& db, WallTime now, JobId job, std::string_view actor) {
  store::Statement wish = db.prepare(
      "UPDATE jobs SET desired = 'cancel', version = version + 1,"
      " deadline = CASE WHEN state = 'active' THEN min(deadline, ?1) ELSE deadline END"
      " WHERE id = ?2 AND desired <> 'cancel' AND deadline IS NOT NULL");
  BCAI_TRY_ASSIGN(const int64_t changed,
                  wish.bind((now + kStopWithin).ms).bind_blob(bytes_of(job)).run());
  if (changed == 0) {
    store::Statement row = db.prepare("SELECT 1 FROM jobs WHERE id = ?");
    BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(job)).step());
    if (!found) return error(ErrorCode::kNotFound, "there is no job {}", job.text());
    return {};
  }
  BCAI_TRY(
      db.prepare("UPDATE attempts SET desired = 'cancel' WHERE job = ? AND deadline IS NOT NULL")
          .bind_blob(bytes_of(job))
          .run());
  BCAI_TRY(add_event(db, now, job, std::nullopt, "job.cancel_requested",
                     {.actor = actor, .code = "cancel", .reason = "asked to cancel"}));
  return settle(db, now, job, actor);
}

}  // namespace bcai::coordinator
