// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/api/job_json.h"

namespace bcai::coordinator {
namespace {

constexpr int64_t kLimitMax = 16 << 20;
constexpr int64_t kJsonLimit = 1 << 20;

enum class Form : uint8_t { kJson, kText, kStream };

Form wanted_form(std::string_view accept) {
  if (accept.find("text/event-stream") != std::string_view::npos) return Form::kStream;
  const size_t text = accept.find("text/plain");
  const size_t json = accept.find("application/json");
  return text != std::string_view::npos && text < json ? Form::kText : Form::kJson;
}

struct Asked {
  Form form = Form::kJson;
  LogPosition from;
  int64_t limit = kJsonLimit;
};

struct Page {
  std::optional<AttemptId> attempt;
  LogSlice slice;
  bool end = false;  // nothing more will come
};

// Any position that is refused here would be refused on each later try.
Result<Page> read_page(LogStore& logs, const JobRecord& job, const Asked& asked) {
  Page page;
  page.attempt = asked.from.attempt;
  if (!page.attempt && !job.attempts.empty()) page.attempt = job.attempts.back().id;
  if (!page.attempt) {
    page.slice.next_offset = asked.from.offset;
    page.end = is_terminal(job.state);
    return page;
  }
  const auto attempt = std::find_if(job.attempts.begin(), job.attempts.end(),
                                    [&](const auto& one) { return one.id == *page.attempt; });
  if (attempt == job.attempts.end()) {
    return error(ErrorCode::kNotFound, "job {} has no attempt {}", job.id.text(),
                 page.attempt->text());
  }
  const bool ended = is_terminal(job.state) || is_terminal(attempt->state);
  BCAI_TRY_ASSIGN(page.slice, logs.read(*page.attempt, asked.from.offset, asked.limit));
  page.end = ended && page.slice.next_offset >= page.slice.size;
  return page;
}

json::value attempt_json(const Page& page) {
  return page.attempt ? json::value(page.attempt->text()) : json::value(nullptr);
}

net::Response page_as_json(const Page& page, int64_t offset) {
  json::array records;
  std::array<std::string, 4> pending;
  std::string_view left = page.slice.records;
  size_t consumed = 0;
  while (const auto record = read_log_record(left, &consumed)) {
    left.remove_prefix(consumed);
    json::object one{{"offset", offset}};
    add_log_record(one, *record, pending[static_cast<size_t>(record->stream)]);
    records.push_back(std::move(one));
    offset += static_cast<int64_t>(consumed);
  }
  return json_response(200, json::object{{"attempt_id", attempt_json(page)},
                                         {"records", std::move(records)},
                                         {"next_offset", page.slice.next_offset},
                                         {"end", page.end}});
}

net::Response page_as_text(const Page& page) {
  net::Response response;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Log-Attempt-Id", page.attempt ? page.attempt->text() : std::string()},
                      {"Log-Next-Offset", std::to_string(page.slice.next_offset)},
                      {"Log-End", page.end ? "true" : "false"}};
  std::string_view left = page.slice.records;
  size_t consumed = 0;
  while (const auto record = read_log_record(left, &consumed)) {
    left.remove_prefix(consumed);
    response.body += record->text;
  }
  return response;
}

void start_stream(Services& services, const Call& call, const JobRecord& job, LogPosition from) {
  LogFeed& feed = services.log_feed;
  const net::EventStream stream = call.reply.stream({{"Cache-Control", "no-store"}});
  const uint64_t follower = feed.follow(job.id, from, stream);
  call.reply.on_peer_gone([&feed, follower] { feed.unfollow(follower); });
}

}  // namespace

void get_logs(Services& services, Call call) {
  const std::optional<JobId> job = path_id<JobId>(call.request, call.reply);
  if (!job) return;
  Asked asked;
  asked.form = wanted_form(call.request.header("accept"));
  Query query(call.request);
  asked.from.attempt = query.id<AttemptId>("attempt");
  asked.from.offset = query.number("offset", {0, INT64_MAX / 2}).value_or(0);
  asked.limit = query.number("limit", {1, kLimitMax})
                    .value_or(asked.form == Form::kText ? kLimitMax : kJsonLimit);
  const std::string_view last = call.request.header("last-event-id");
  if (!last.empty() && asked.form == Form::kStream) {
    if (Result<LogPosition> position = parse_log_position(last); position) {
      asked.from = *position;
    } else {
      query.add("Last-Event-ID", position.error().message);
    }
  }
  if (!query.good(call.reply)) return;
  services.database.read(
      [&services, call = std::move(call), job = *job, asked](store::Connection& db) {
        const std::optional<JobRecord> record = visible_job(db, call, job);
        if (!record) return;
        const Result<Page> page = read_page(services.logs, *record, asked);
        if (!page) return call.reply.send(problem_response(page.error()));
        switch (asked.form) {
          case Form::kJson: return call.reply.send(page_as_json(*page, asked.from.offset));
          case Form::kText: return call.reply.send(page_as_text(*page));
          case Form::kStream: return start_stream(services, call, *record, asked.from);
        }
      });
}

}  // namespace bcai::coordinator
