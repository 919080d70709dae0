// SPDX-License-Identifier: Apache-2.0
// What a node sends of an attempt. Who is fenced may not write: asked before the bytes are taken.
#include <map>
#include <memory>
#include <utility>

#include "base/log.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/programs/answer.h"
#include "coordinator/store/artifacts.h"

namespace bcai::coordinator {
namespace {

// Room for the records' headers, and for what the node itself says in the log.
int64_t log_bytes_max(const JobSpec& spec) {
  return 2 * spec.output_bytes_max + (int64_t{1} << 20);
}

struct Sent {
  explicit Sent(Call of) : call(std::move(of)) {}

  Call call;
  AttemptId attempt;
  int64_t epoch = 0;
  int64_t offset = 0;
  JobId job;
  AttemptResult result;
  JobSpec spec;       // of the job
  json::value quote;  // and what it was quoted at, null of Python
};
using SentPtr = std::shared_ptr<Sent>;

void busy(const net::Reply& reply) {
  reply.send(problem_response(
      error(ErrorCode::kUnavailable, "too much is waiting for the disk; try again")));
}

// Of the coordinator's own making: the node keeps what it has and tries again.
void unavailable(const SentPtr& sent, const Error& failed) {
  log_event(LogLevel::kError, "result.not_read",
            {{"attempt", sent->attempt.text()}, {"error", failed.message}});
  sent->call.reply.send(problem_response(
      error(ErrorCode::kUnavailable, "the coordinator could not read the result; try again")));
}

void store_records(Services& services, const SentPtr& sent, int64_t bytes_max) {
  const Result<LogAppended> appended = services.logs.append({.attempt = sent->attempt,
                                                             .offset = sent->offset,
                                                             .records = sent->call.request.body,
                                                             .bytes_max = bytes_max});
  const net::Reply& reply = sent->call.reply;
  if (!appended) return reply.send(problem_response(appended.error()));
  if (!appended->accepted) {
    return reply.send(offset_problem(
        fmt::format("the log has {} bytes; {} cannot follow", appended->offset, sent->offset),
        appended->offset));
  }
  reply.send(json_response(200, json::object{{"offset", appended->offset}}));
  services.log_feed.log_grew(sent->job);
}

bool is_answer(const AttemptResult& result) {
  return result.outcome == Outcome::kFinished && result.exit_code == 0;
}

struct Completing {
  Completion completion;
  bool known = false;
};

void complete_attempt(Services& services, const SentPtr& sent) {
  auto completing = std::make_shared<Completing>();
  services.database.write(
      [&services, sent, completing](store::Connection& db) -> Result<void> {
        // Brought by this node, or given to it: naming a digest must not make its bytes readable.
        const auto has_artifact = [&db, node = *sent->call.who.node](const Sha256& sha256) {
          const Result<bool> brought = store::may_read(db, node, sha256);
          return brought && *brought;
        };
        BCAI_TRY_ASSIGN(completing->completion,
                        complete(db, services.clock.wall(), *sent->call.who.node, sent->attempt,
                                 sent->epoch, sent->result, has_artifact));
        return {};
      },
      [&services, sent, completing](Result<void> done) {
        if (!done) return sent->call.reply.send(problem_response(done.error()));
        const bool published = completing->completion.published;
        sent->call.reply.send(json_response(200, json::object{{"published", published}}));
        services.watch.changed({sent->job});
        services.log_feed.log_grew(sent->job);
        if (sent->spec.replicas > 1) services.referee.kick();
        if (services.observer.attempt) {
          services.observer.attempt(published ? name(sent->result.outcome) : "fenced");
        }
      });
  services.dispatch.kick();
}

// A receipt that does not hold together, or results that it does not commit to, are this node's
// failure, and say nothing about the job.
void check_program_answer(Services& services, const SentPtr& sent) {
  AttemptResult& result = sent->result;
  const FindFile find_file = [&services](const Sha256& sha256) {
    return services.artifacts.path_of(sha256);
  };
  Result<CheckedAnswer> answer =
      check_answer(sent->spec, decode_quote(sent->quote), result, find_file);
  if (answer) {
    result.commitment = answer->commitment;
    result.tensors = std::move(answer->tensors);
  } else if (answer.error().code != ErrorCode::kInvalidArgument) {
    unavailable(sent, answer.error());
    return;
  } else {
    const int64_t log_bytes = result.log_bytes;
    const Usage usage = result.usage;
    result = {};
    result.detail = fmt::format("what it sent is refused: {}", answer.error().message);
    result.log_bytes = log_bytes;
    result.usage = usage;
  }
  complete_attempt(services, sent);
}

// The log is whole and on disk before its result can be seen. A fenced attempt's log is not asked
// for: its result is kept as it comes.
void finish_log(Services& services, const SentPtr& sent, int64_t bytes_max, bool fenced) {
  if (!fenced) {
    const Result<void> finished = services.logs.finish(sent->attempt, sent->result.log_bytes,
                                                       bytes_max, services.clock.wall());
    if (!finished) return sent->call.reply.send(problem_response(finished.error()));
  }
  if (fenced || sent->quote.is_null() || !is_answer(sent->result))
    return complete_attempt(services, sent);
  const bool taken =
      services.programs.post([&services, sent] { check_program_answer(services, sent); });
  if (!taken) busy(sent->call.reply);
}

// What a native program can answer, and nothing beside it: of the rest nobody checks anything.
void keep_native_answer(AttemptResult& result) {
  result.outputs.clear();
  result.left_out.clear();
  result.tensors.clear();
  std::erase_if(result.artifacts, [&](const ArtifactRef& artifact) {
    return !is_answer(result) ||
           (artifact.name != kReceiptArtifact && artifact.name != kTensorsArtifact);
  });
}

// The job of the attempt. Nothing when the attempt is fenced, or none of this node's.
Result<bool> load_job_of(store::Connection& db, Sent& sent) {
  const Result<JobId> job = check_epoch(db, *sent.call.who.node, sent.attempt, sent.epoch);
  if (!job) {
    const ErrorCode code = job.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kFailedPrecondition) return false;
    return job.error();
  }
  sent.job = *job;
  BCAI_TRY_ASSIGN(JobRecord record, find_job(db, *job));
  sent.spec = std::move(record.spec);
  sent.quote = std::move(record.quote);
  return true;
}

// An artifact of another one is as good as none: its bytes are not read, nor that it is there told.
Result<void> require_own_artifacts(store::Connection& db, const Sent& sent) {
  for (const ArtifactRef& artifact : sent.result.artifacts) {
    BCAI_TRY_ASSIGN(const bool may, store::may_read(db, *sent.call.who.node, artifact.sha256));
    if (may) continue;
    return error(ErrorCode::kFailedPrecondition, "artifact '{}' {} has not been uploaded",
                 artifact.name, artifact.sha256.text());
  }
  return {};
}

}  // namespace

void append_logs(Services& services, Call call) {
  const std::optional<AttemptId> attempt = path_id<AttemptId>(call.request, call.reply);
  if (!attempt) return;
  Query query(call.request);
  const std::optional<int64_t> epoch = query.number("epoch", {0, INT64_MAX});
  const std::optional<int64_t> offset = query.number("offset", {0, INT64_MAX / 2});
  if (call.request.query.count("epoch") == 0) query.add("epoch", "is required");
  if (call.request.query.count("offset") == 0) query.add("offset", "is required");
  if (!query.good(call.reply)) return;
  auto sent = std::make_shared<Sent>(std::move(call));
  sent->attempt = *attempt;
  sent->epoch = *epoch;
  sent->offset = *offset;
  services.database.read([&services, sent](store::Connection& db) {
    const net::Reply& reply = sent->call.reply;
    const Result<JobId> job = check_epoch(db, *sent->call.who.node, sent->attempt, sent->epoch);
    if (!job) return reply.send(problem_response(job.error()));
    sent->job = *job;
    const Result<JobRecord> record = find_job(db, *job);
    if (!record) return reply.send(problem_response(record.error()));
    const int64_t bytes_max = log_bytes_max(record->spec);
    const bool taken = services.disk.post(
        [&services, sent, bytes_max] { store_records(services, sent, bytes_max); });
    if (!taken) busy(reply);
  });
}

void send_result(Services& services, Call call) {
  const std::optional<AttemptId> attempt = path_id<AttemptId>(call.request, call.reply);
  if (!attempt) return;
  Query query(call.request);
  const std::optional<int64_t> epoch = query.number("epoch", {0, INT64_MAX});
  if (call.request.query.count("epoch") == 0) query.add("epoch", "is required");
  if (!query.good(call.reply)) return;
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  auto sent = std::make_shared<Sent>(std::move(call));
  sent->result = decode_attempt_result(*body, &findings);
  const net::Reply& reply = sent->call.reply;
  if (!findings.empty()) return reply.send(findings_response("result", findings));
  sent->call.request.body = {};
  sent->result.commitment.reset();
  sent->attempt = *attempt;
  sent->epoch = *epoch;
  services.database.read([&services, sent](store::Connection& db) {
    const Result<bool> loaded = load_job_of(db, *sent);
    if (!loaded) return unavailable(sent, loaded.error());
    const bool fenced = !*loaded;
    if (!fenced && !sent->quote.is_null()) {
      keep_native_answer(sent->result);
      const Result<void> own = require_own_artifacts(db, *sent);
      if (!own && own.error().code != ErrorCode::kFailedPrecondition) {
        return unavailable(sent, own.error());
      }
      if (!own) return sent->call.reply.send(problem_response(own.error()));
    }
    const int64_t bytes_max = fenced ? 0 : log_bytes_max(sent->spec);
    const bool taken = services.disk.post(
        [&services, sent, bytes_max, fenced] { finish_log(services, sent, bytes_max, fenced); });
    if (!taken) busy(sent->call.reply);
  });
}

}  // namespace bcai::coordinator
