// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/queries.h"

#include "coordinator/jobs/stored_text.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

using store::bytes_at;
using store::bytes_of;
using store::optional_bytes_at;
using store::optional_time_at;
using store::time_at;

#define BCAI_SELECT_JOB                                                                     \
  "SELECT id, owner, state, desired, reason_code, reason, version, created_at, started_at," \
  " ended_at, published, spec, shape, quote, verification FROM jobs "

Result<JobRecord> read_job(const store::Statement& row) {
  BCAI_TRY_ASSIGN(JobSpec spec, spec_of(row.text(11)));
  BCAI_TRY_ASSIGN(json::value quote, json_of(row.text(13)));
  BCAI_TRY_ASSIGN(json::value verification, json_of(row.text(14)));
  return JobRecord{.id = bytes_at<JobId>(row, 0),
                   .owner = bytes_at<KeyId>(row, 1),
                   .state = stored(parse_job_state(row.text(2))),
                   .desired = stored(parse_desired(row.text(3))),
                   .reason_code = std::string(row.text(4)),
                   .reason = std::string(row.text(5)),
                   .version = row.integer(6),
                   .created_at = time_at(row, 7),
                   .started_at = optional_time_at(row, 8),
                   .ended_at = optional_time_at(row, 9),
                   .spec = std::move(spec),
                   .attempts = {},
                   .published = optional_bytes_at<AttemptId>(row, 10),
                   .quote = std::move(quote),
                   .verification = std::move(verification)};
}

Result<std::vector<AttemptRecord>> attempts_of(store::Connection& db, JobId job) {
  std::vector<AttemptRecord> attempts;
  store::Statement rows = db.prepare(
      "SELECT a.id, a.node, n.name, a.epoch, a.state, a.reason, a.created_at, a.started_at,"
      " a.ended_at, a.progress, a.replica FROM attempts a JOIN nodes n ON n.id = a.node WHERE "
      "a.job = ?"
      " ORDER BY a.epoch");
  rows.bind_blob(bytes_of(job));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return attempts;
    BCAI_TRY_ASSIGN(Progress progress, progress_of(rows.text(9)));
    attempts.push_back({.id = bytes_at<AttemptId>(rows, 0),
                        .node = bytes_at<NodeId>(rows, 1),
                        .node_name = std::string(rows.text(2)),
                        .epoch = rows.integer(3),
                        .replica = static_cast<int>(rows.integer(10)),
                        .state = stored(parse_attempt_state(rows.text(4))),
                        .reason = std::string(rows.text(5)),
                        .created_at = time_at(rows, 6),
                        .started_at = optional_time_at(rows, 7),
                        .ended_at = optional_time_at(rows, 8),
                        .progress = std::move(progress)});
  }
}

// The scheduler writes a reason on the oldest jobs of each shape only; the others wait for the
// same.
Result<void> explain_wait(store::Connection& db, int64_t shape, JobRecord& job) {
  if (job.reason_code == "queued") {
    store::Statement oldest = db.prepare(
        "SELECT reason_code, reason FROM jobs WHERE state = 'queued' AND owner = ? AND shape = ?"
        " ORDER BY created_at, id LIMIT 1");
    oldest.bind_blob(bytes_of(job.owner)).bind(shape);
    BCAI_TRY_ASSIGN(const bool found, oldest.step());
    if (found) {
      job.reason_code = oldest.text(0);
      job.reason = oldest.text(1);
    }
  }
  if (job.reason_code != "busy" && job.reason_code != "queued") return {};
  store::Statement ahead =
      db.prepare("SELECT count(*) FROM jobs WHERE state = 'queued' AND (created_at, id) < (?, ?)");
  BCAI_TRY(ahead.bind(job.created_at.ms).bind_blob(bytes_of(job.id)).step());
  const int64_t count = ahead.integer(0);
  if (count > 0) {
    job.reason += count == 1 ? "; 1 job is ahead" : fmt::format("; {} jobs are ahead", count);
  }
  return {};
}

// A page of the newest; one literal for each choice of owner and state, so that each has its index.
#define BCAI_PAGE                                               \
  " AND (?4 = '' OR name = ?4) AND (created_at, id) < (?5, ?6)" \
  " ORDER BY created_at DESC, id DESC LIMIT ?3"

const char* page_sql(const JobFilter& filter) {
  if (filter.owner && filter.state) {
    return BCAI_SELECT_JOB "WHERE owner = ?1 AND state = ?2" BCAI_PAGE;
  }
  if (filter.owner) return BCAI_SELECT_JOB "WHERE owner = ?1 AND ?2 IS NOT NULL" BCAI_PAGE;
  if (filter.state) return BCAI_SELECT_JOB "WHERE ?1 IS NOT NULL AND state = ?2" BCAI_PAGE;
  return BCAI_SELECT_JOB "WHERE ?1 IS NOT NULL AND ?2 IS NOT NULL" BCAI_PAGE;
}

struct PageStart {
  int64_t created_at = INT64_MAX;
  std::string id = std::string(16, '\xff');
};

Result<PageStart> page_start(store::Connection& db, const JobFilter& filter) {
  if (!filter.before) return PageStart{};
  store::Statement row = db.prepare("SELECT created_at FROM jobs WHERE id = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(*filter.before)).step());
  if (!found) return error(ErrorCode::kNotFound, "there is no job {}", filter.before->text());
  return PageStart{.created_at = row.integer(0), .id = std::string(bytes_of(*filter.before))};
}

std::string_view node_state(Millis silent, const Timing& timing) {
  if (silent < timing.unknown_after) return "online";
  return silent < timing.lost_after ? "silent" : "offline";
}

}  // namespace

Result<JobRecord> find_job(store::Connection& db, JobId id) {
  store::Statement row = db.prepare(BCAI_SELECT_JOB "WHERE id = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(id)).step());
  if (!found) return error(ErrorCode::kNotFound, "there is no job {}", id.text());
  BCAI_TRY_ASSIGN(JobRecord job, read_job(row));
  BCAI_TRY_ASSIGN(job.attempts, attempts_of(db, id));
  if (job.state == JobState::kQueued) BCAI_TRY(explain_wait(db, row.integer(12), job));
  return job;
}

Result<std::vector<JobRecord>> list_jobs(store::Connection& db, const JobFilter& filter) {
  BCAI_TRY_ASSIGN(const PageStart start, page_start(db, filter));
  store::Statement rows = db.prepare(page_sql(filter));
  rows.bind_blob(filter.owner ? bytes_of(*filter.owner) : std::string_view());
  rows.bind(filter.state ? name(*filter.state) : std::string_view());
  rows.bind(filter.limit).bind(filter.name).bind(start.created_at).bind_blob(start.id);
  std::vector<JobRecord> jobs;
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return jobs;
    BCAI_TRY_ASSIGN(JobRecord job, read_job(rows));
    jobs.push_back(std::move(job));
    BCAI_TRY_ASSIGN(jobs.back().attempts, attempts_of(db, jobs.back().id));
  }
}

Result<std::vector<EventRecord>> job_events(store::Connection& db, JobId job) {
  std::vector<EventRecord> events;
  store::Statement rows = db.prepare(
      "SELECT sequence, time, kind, actor, reason FROM job_events WHERE job = ? ORDER BY sequence");
  rows.bind_blob(bytes_of(job));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) break;
    events.push_back({.sequence = rows.integer(0),
                      .time = time_at(rows, 1),
                      .kind = std::string(rows.text(2)),
                      .actor = std::string(rows.text(3)),
                      .reason = std::string(rows.text(4))});
  }
  // Every job has the event of its submission.
  if (events.empty()) return error(ErrorCode::kNotFound, "there is no job {}", job.text());
  return events;
}

Result<AttemptResult> find_result(store::Connection& db, JobId job) {
  store::Statement row = db.prepare(
      "SELECT r.result FROM jobs j JOIN results r ON r.job = j.id"
      " WHERE j.id = ? AND (r.attempt = j.published"
      "  OR (j.published IS NULL AND r.fenced = 0 AND j.replicas = 1))"
      " ORDER BY r.received_at DESC LIMIT 1");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(job)).step());
  if (!found) return error(ErrorCode::kNotFound, "job {} has no result", job.text());
  return result_of(row.text(0));
}

Result<std::vector<NodeRecord>> list_nodes(store::Connection& db, WallTime now,
                                           const Timing& timing) {
  std::vector<NodeRecord> nodes;
  store::Statement rows = db.prepare(
      "SELECT id, name, registered_at, last_seen, free, capabilities_digest, capabilities,"
      " (SELECT count(*) FROM attempts WHERE node = nodes.id AND deadline IS NOT NULL)"
      " FROM nodes ORDER BY name, id");
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return nodes;
    const WallTime last_seen = time_at(rows, 3);
    BCAI_TRY_ASSIGN(const auto capabilities, capabilities_at(rows, 5, 6));
    BCAI_TRY_ASSIGN(const Capacity free, capacity_of(rows.text(4)));
    nodes.push_back({.id = bytes_at<NodeId>(rows, 0),
                     .name = std::string(rows.text(1)),
                     .state = std::string(node_state(now - last_seen, timing)),
                     .registered_at = time_at(rows, 2),
                     .last_seen = last_seen,
                     .capabilities = *capabilities,
                     .free = free,
                     .running = static_cast<int>(rows.integer(7))});
  }
}

}  // namespace bcai::coordinator
