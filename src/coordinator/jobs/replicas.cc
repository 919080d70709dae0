// SPDX-License-Identifier: Apache-2.0
// Jobs that several nodes run: what they differed in, and the end of it.
#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/stored_text.h"
#include "coordinator/jobs/transition.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;

// The newest attempt of each replica. A job is in dispute only when each of them has answered.
Result<std::vector<Dispute::Answer>> load_answers(store::Connection& db, JobId job) {
  std::vector<Dispute::Answer> answers;
  store::Statement rows = db.prepare(
      "SELECT a.id, a.node, n.name, a.commitment, r.result FROM attempts a"
      " JOIN nodes n ON n.id = a.node LEFT JOIN results r ON r.attempt = a.id"
      " WHERE a.job = ?1 AND a.epoch = (SELECT max(epoch) FROM attempts"
      "                                 WHERE job = ?1 AND replica = a.replica)"
      " ORDER BY a.replica");
  rows.bind_blob(bytes_of(job));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return answers;
    Dispute::Answer& one = answers.emplace_back();
    one.answer = {.attempt = bytes_at<AttemptId>(rows, 0),
                  .node = bytes_at<NodeId>(rows, 1),
                  .node_name = std::string(rows.text(2)),
                  .commitment = store::optional_bytes_at<Sha256>(rows, 3),
                  .agrees = {},
                  .differs = {},
                  .instruction = {}};
    // One that was stopped long after its timeout left nothing.
    if (rows.is_null(4)) continue;
    BCAI_TRY_ASSIGN(one.result, result_of(rows.text(4)));
  }
}

Result<int64_t> write_verification(store::Connection& db, JobId job, Verification verification) {
  if (verification.answers.empty()) {
    BCAI_TRY_ASSIGN(const std::vector<Dispute::Answer> answers, load_answers(db, job));
    for (const Dispute::Answer& one : answers) verification.answers.push_back(one.answer);
  }
  return db
      .prepare(
          "UPDATE jobs SET verification = ?, version = version + 1"
          " WHERE id = ? AND state IN ('active', 'verifying')")
      .bind(to_text(encode(verification)))
      .bind_blob(bytes_of(job))
      .run();
}

}  // namespace

Result<void> note_agreement(store::Connection& db, JobId job, const std::string& reason) {
  BCAI_TRY(write_verification(db, job,
                              {.verdict = Verification::Verdict::kAgreed,
                               .reason = reason,
                               .rerun_commitment = {},
                               .answers = {}}));
  return {};
}

Result<std::optional<Dispute>> find_dispute(store::Connection& db) {
  store::Statement row =
      db.prepare("SELECT id, spec FROM jobs WHERE state = 'verifying' ORDER BY created_at LIMIT 1");
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<Dispute>();
  Dispute dispute{.job = bytes_at<JobId>(row, 0), .spec = {}, .answers = {}};
  BCAI_TRY_ASSIGN(dispute.spec, spec_of(row.text(1)));
  BCAI_TRY_ASSIGN(dispute.answers, load_answers(db, dispute.job));
  return std::optional(std::move(dispute));
}

Result<void> resolve(store::Connection& db, WallTime now, JobId job,
                     const Verification& verification) {
  store::Statement row = db.prepare("SELECT 1 FROM jobs WHERE id = ? AND state = 'verifying'");
  BCAI_TRY_ASSIGN(const bool disputed, row.bind_blob(bytes_of(job)).step());
  if (!disputed) return {};
  BCAI_TRY(write_verification(db, job, verification));
  return settle(db, now, job, "coordinator");
}

}  // namespace bcai::coordinator
