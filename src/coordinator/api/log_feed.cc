// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/log_feed.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "coordinator/api/job_json.h"

namespace bcai::coordinator {
namespace {

constexpr int64_t kPumpBytes = 64 * 1024;
// JSON can make eight bytes of one, so a pump more than this could overflow the stream's buffer.
constexpr size_t kEnoughBuffered = 256 * 1024;
constexpr Millis kSlowPause{25};

// The attempt that comes after `attempt`, oldest first.
const AttemptRecord* attempt_after(const JobRecord& job, const std::optional<AttemptId>& attempt) {
  const auto found = std::find_if(job.attempts.begin(), job.attempts.end(),
                                  [&](const AttemptRecord& one) { return one.id == attempt; });
  if (found == job.attempts.end() || found + 1 == job.attempts.end()) return nullptr;
  return &*(found + 1);
}

bool has_ended(const JobRecord& job, const std::optional<AttemptId>& attempt) {
  for (const AttemptRecord& one : job.attempts) {
    if (one.id == attempt) return is_terminal(one.state);
  }
  return true;
}

}  // namespace

Result<LogPosition> parse_log_position(std::string_view text) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument,
                 "Last-Event-ID: expected 'ATTEMPT:OFFSET' as in the stream's ids, found '{}'",
                 text.substr(0, 64));
  };
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong();
  Result<AttemptId> attempt = AttemptId::parse(text.substr(0, colon));
  if (!attempt) return wrong();
  LogPosition position{.attempt = *attempt, .offset = 0};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data() + colon + 1, end, position.offset);
  if (code != std::errc() || stop != end || position.offset < 0) return wrong();
  return position;
}

uint64_t LogFeed::follow(JobId job, LogPosition from, net::EventStream stream) {
  auto follower =
      std::make_shared<Follower>(Follower{.job = job, .at = from, .stream = std::move(stream)});
  {
    std::lock_guard lock(mutex_);
    follower->id = next_id_++;
    followers_.emplace(job, follower);
  }
  wake(follower);
  return follower->id;
}

void LogFeed::unfollow(uint64_t id) {
  FollowerPtr found;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [job, follower] : followers_) {
      if (follower->id == id) found = follower;
    }
  }
  if (found) drop(found);
}

void LogFeed::log_grew(JobId job) {
  std::vector<FollowerPtr> found;
  {
    std::lock_guard lock(mutex_);
    const auto [begin, end] = followers_.equal_range(job);
    for (auto entry = begin; entry != end; ++entry) found.push_back(entry->second);
  }
  for (const FollowerPtr& follower : found) wake(follower);
}

void LogFeed::wake(const FollowerPtr& follower) {
  {
    std::lock_guard lock(mutex_);
    if (follower->closed) return;
    if (follower->pumping) {
      follower->again = true;
      return;
    }
    follower->pumping = true;
  }
  database_.read([this, follower](store::Connection& db) { pump(db, follower); });
}

void LogFeed::pump(store::Connection& db, const FollowerPtr& follower) {
  const Pumped pumped = pump_once(db, *follower);
  if (pumped == Pumped::kEnded) {
    follower->stream.close();
    drop(follower);
    return;
  }
  bool again = pumped == Pumped::kMore;
  const int64_t version = follower->version;  // it is this pump's until the next line
  {
    std::lock_guard lock(mutex_);
    follower->pumping = false;
    again = std::exchange(follower->again, false) || again;
    if (follower->closed) return;
  }
  if (pumped == Pumped::kSlow) {
    timer_.after(kSlowPause, [this, follower] { wake(follower); });
    return;
  }
  if (again) {
    wake(follower);
  } else {
    watch_job(follower, version);
  }
}

// What is told of the job comes from one snapshot, taken before the log is read: an attempt that
// has ended there has all of its log on disk.
LogFeed::Pumped LogFeed::pump_once(store::Connection& db, Follower& follower) {
  if (follower.stream.buffered_bytes() > kEnoughBuffered) return Pumped::kSlow;
  const Result<JobRecord> job = find_job(db, follower.job);
  if (!job) return Pumped::kEnded;
  std::string text;
  if (job->version != follower.version) {
    text = to_text(job_json(db, *job));
    if (!follower.stream.send("", "job", text)) return Pumped::kEnded;
    follower.version = job->version;
  }
  if (!follower.at.attempt && !job->attempts.empty()) {
    follower.at.attempt = job->attempts.back().id;
  }
  if (follower.at.attempt) {
    const bool ended = is_terminal(job->state) || has_ended(*job, follower.at.attempt);
    if (const Pumped sent = send_records(follower); sent != Pumped::kWaits) return sent;
    if (!ended) return Pumped::kWaits;
    if (const AttemptRecord* next = attempt_after(*job, follower.at.attempt); next != nullptr) {
      follower.at = {.attempt = next->id, .offset = 0};
      for (std::string& pending : follower.pending) pending.clear();
      return Pumped::kMore;
    }
  }
  if (!is_terminal(job->state)) return Pumped::kWaits;
  if (text.empty()) text = to_text(job_json(db, *job));
  follower.stream.send("", "end", text);
  return Pumped::kEnded;
}

LogFeed::Pumped LogFeed::send_records(Follower& follower) {
  const AttemptId attempt = *follower.at.attempt;
  const Result<LogSlice> slice = logs_.read(attempt, follower.at.offset, kPumpBytes);
  if (!slice) return Pumped::kEnded;
  std::string_view left = slice->records;
  size_t consumed = 0;
  while (const auto record = read_log_record(left, &consumed)) {
    left.remove_prefix(consumed);
    json::object data;
    add_log_record(data, *record, follower.pending[static_cast<size_t>(record->stream)]);
    data["attempt_id"] = attempt.text();
    follower.at.offset += static_cast<int64_t>(consumed);
    if (!follower.stream.send(fmt::format("{}:{}", attempt.text(), follower.at.offset), "log",
                              to_text(data))) {
      return Pumped::kEnded;
    }
  }
  return slice->next_offset < slice->size ? Pumped::kMore : Pumped::kWaits;
}

void LogFeed::watch_job(const FollowerPtr& follower, int64_t version) {
  {
    std::lock_guard lock(mutex_);
    if (follower->closed || follower->watcher != 0) return;
    follower->watcher = UINT64_MAX;  // being added
  }
  const uint64_t watcher =
      watch_.add({.job = follower->job,
                  .version = version,
                  .call = [this, follower](const Result<JobRecord>&, const std::string&) {
                    {
                      std::lock_guard lock(mutex_);
                      follower->watcher = 0;
                    }
                    wake(follower);
                  }});
  bool closed = false;
  {
    std::lock_guard lock(mutex_);
    if (follower->watcher == UINT64_MAX) follower->watcher = watcher;
    closed = follower->closed;
  }
  if (closed) watch_.remove(watcher);
}

void LogFeed::drop(const FollowerPtr& follower) {
  uint64_t watcher = 0;
  {
    std::lock_guard lock(mutex_);
    follower->closed = true;
    watcher = follower->watcher;
    const auto [begin, end] = followers_.equal_range(follower->job);
    for (auto entry = begin; entry != end; ++entry) {
      if (entry->second != follower) continue;
      followers_.erase(entry);
      break;
    }
  }
  if (watcher != 0 && watcher != UINT64_MAX) watch_.remove(watcher);
}

}  // namespace bcai::coordinator
