// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <memory>
#include <utility>

#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/api/job_json.h"
#include "coordinator/jobs/job_head.h"

namespace bcai::coordinator {
namespace {

Error no_such_job(JobId job) {
  return error(ErrorCode::kNotFound, "there is no job {}", job.text());
}

// A GET that waits: answered by the change, by the clock, or dropped when the peer goes.
struct Wait {
  net::Reply reply;
  std::atomic<uint64_t> watcher{0};
  std::atomic<uint64_t> timer{0};
  std::atomic<bool> over{false};

  explicit Wait(net::Reply to) : reply(std::move(to)) {}
};

void answer_job(Services& services, const net::Reply& reply, JobId job) {
  services.database.read([reply, job](store::Connection& db) {
    const Result<JobRecord> record = find_job(db, job);
    reply.send(record ? json_response(200, job_json(db, *record))
                      : problem_response(record.error()));
  });
}

void wait_for_change(Services& services, const Call& call, JobId job,
                     std::optional<int64_t> version, Millis how_long) {
  auto wait = std::make_shared<Wait>(call.reply);
  wait->timer = services.timer.after(how_long, [&services, wait, job] {
    if (wait->over.exchange(true)) return;
    services.watch.remove(wait->watcher);
    answer_job(services, wait->reply, job);
  });
  wait->watcher = services.watch.add(
      {.job = job,
       .version = version,
       .call = [&services, wait](const Result<JobRecord>& record, const std::string& text) {
         if (wait->over.exchange(true)) return;
         services.timer.cancel(wait->timer);
         wait->reply.send(record ? json_text_response(200, text)
                                 : problem_response(record.error()));
       }});
  call.reply.on_peer_gone([&services, wait] {
    if (wait->over.exchange(true)) return;
    services.watch.remove(wait->watcher);
    services.timer.cancel(wait->timer);
  });
}

Result<json::object> read_results(store::Connection& db, const JobRecord& job) {
  const Result<AttemptId> attempt =
      is_terminal(job.state)
          ? find_result_attempt(db, job.id)
          : Result<AttemptId>(error(ErrorCode::kNotFound, "the job has not ended"));
  if (!attempt && attempt.error().code == ErrorCode::kNotFound) {
    return error(ErrorCode::kFailedPrecondition, "job {} is {} and has no result: {}",
                 job.id.text(), name(job.state), job.reason);
  }
  if (!attempt) return attempt.error();
  BCAI_TRY_ASSIGN(const AttemptResult result, find_result(db, job.id));
  return results_json(job, *attempt, result);
}

}  // namespace

std::optional<JobRecord> visible_job(store::Connection& db, const Call& call, JobId job) {
  Result<JobRecord> record = find_job(db, job);
  if (record && call.who.owns(record->owner)) return *std::move(record);
  const bool hidden = record || record.error().code == ErrorCode::kNotFound;
  call.reply.send(problem_response(hidden ? no_such_job(job) : record.error()));
  return std::nullopt;
}

void list_jobs_page(Services& services, Call call) {
  Query query(call.request);
  JobFilter filter;
  if (call.who.role != Role::kOwner) filter.owner = call.who.key;
  if (const std::optional<std::string> state = query.text("state")) {
    if (Result<JobState> parsed = parse_job_state(*state); parsed) {
      filter.state = *parsed;
    } else {
      query.add("state", parsed.error().message);
    }
  }
  filter.name = query.text("name").value_or("");
  filter.limit = static_cast<int>(query.number("limit", {1, 1000}).value_or(50));
  filter.before = query.id<JobId>("before");
  if (!query.good(call.reply)) return;
  services.database.read([filter, reply = call.reply](store::Connection& db) {
    // One more than asked for tells whether there is a next page.
    JobFilter wider = filter;
    wider.limit = filter.limit + 1;
    Result<std::vector<JobRecord>> jobs = list_jobs(db, wider);
    if (!jobs) return reply.send(problem_response(jobs.error()));
    json::value next = nullptr;
    if (jobs->size() > static_cast<size_t>(filter.limit)) {
      jobs->pop_back();
      next = jobs->back().id.text();
    }
    json::array list;
    for (const JobRecord& job : *jobs) list.push_back(job_json(db, job));
    reply.send(json_response(200, json::object{{"jobs", std::move(list)}, {"next", next}}));
  });
}

void get_job(Services& services, Call call) {
  const std::optional<JobId> job = path_id<JobId>(call.request, call.reply);
  if (!job) return;
  Query query(call.request);
  const Millis how_long(query.number("wait", {0, 60}).value_or(0) * 1000);
  const std::optional<int64_t> version = query.number("version", {0, INT64_MAX});
  if (!query.good(call.reply)) return;
  services.database.read(
      [&services, call = std::move(call), job = *job, how_long, version](store::Connection& db) {
        const std::optional<JobRecord> record = visible_job(db, call, job);
        if (!record) return;
        const bool now = how_long.count() == 0 || is_terminal(record->state) ||
                         (version && record->version > *version);
        if (now) {
          call.reply.send(json_response(200, job_json(db, *record)));
        } else {
          wait_for_change(services, call, job, version, how_long);
        }
      });
}

void get_results(Services& services, Call call) {
  const std::optional<JobId> job = path_id<JobId>(call.request, call.reply);
  if (!job || !Query(call.request).good(call.reply)) return;
  services.database.read([call = std::move(call), job = *job](store::Connection& db) {
    const std::optional<JobRecord> record = visible_job(db, call, job);
    if (!record) return;
    Result<json::object> results = read_results(db, *record);
    call.reply.send(results ? json_response(200, *std::move(results))
                            : problem_response(results.error()));
  });
}

void list_events(Services& services, Call call) {
  const std::optional<JobId> job = path_id<JobId>(call.request, call.reply);
  if (!job || !Query(call.request).good(call.reply)) return;
  services.database.read([call = std::move(call), job = *job](store::Connection& db) {
    if (!visible_job(db, call, job)) return;
    Result<std::vector<EventRecord>> events = job_events(db, job);
    if (!events) return call.reply.send(problem_response(events.error()));
    json::array list;
    for (const EventRecord& event : *events) list.push_back(event_json(event));
    call.reply.send(json_response(200, json::object{{"events", std::move(list)}}));
  });
}

void cancel_job(Services& services, Call call) {
  const std::optional<JobId> job = path_id<JobId>(call.request, call.reply);
  if (!job || !Query(call.request).good(call.reply)) return;
  struct Cancelled {
    std::string text;
    std::vector<NodeId> nodes;  // that hold the job
  };
  auto cancelled = std::make_shared<Cancelled>();
  services.database.write(
      [&services, who = call.who, job = *job, cancelled](store::Connection& db) -> Result<void> {
        BCAI_TRY_ASSIGN(const JobRecord before, find_job(db, job));
        if (!who.owns(before.owner)) return no_such_job(job);
        BCAI_TRY(cancel(db, services.clock.wall(), job, "user"));
        BCAI_TRY_ASSIGN(const JobRecord after, find_job(db, job));
        cancelled->text = to_text(job_json(db, after));
        cancelled->nodes.clear();
        for (const AttemptRecord& attempt : after.attempts) {
          if (!is_terminal(attempt.state)) cancelled->nodes.push_back(attempt.node);
        }
        return {};
      },
      [&services, reply = call.reply, job = *job, cancelled](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        reply.send(json_text_response(202, std::move(cancelled->text)));
        services.watch.changed({job});
        for (const NodeId node : cancelled->nodes) services.dispatch.nudge(node);
      });
}

}  // namespace bcai::coordinator
