// SPDX-License-Identifier: Apache-2.0
// Followers of logs: each is an event stream that gets a job's records and changes until the job
// has ended (schema/openapi.yaml, getLogs). A follower is pumped on a reader's thread of the
// database, one pump of it at a time, when its job or log has grown. A pump stops when the peer has
// enough to read and goes on later, so a slow peer costs a buffer and no thread. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "coordinator/api/gate.h"
#include "coordinator/api/timer.h"
#include "coordinator/api/watch.h"
#include "coordinator/files/log_store.h"
#include "net/server.h"
#include "protocol/log_record.h"

namespace bcai::coordinator {

// "att_…:123", the id of a log event.
struct LogPosition {
  std::optional<AttemptId> attempt;  // nothing: the newest there is when the stream begins
  int64_t offset = 0;
};
Result<LogPosition> parse_log_position(std::string_view text);

class LogFeed {
 public:
  LogFeed(DatabaseGate& database, LogStore& logs, JobWatch& watch, Timer& timer)
      : database_(database), logs_(logs), watch_(watch), timer_(timer) {}

  // Gives an id for unfollow(), which is called when the peer is gone.
  uint64_t follow(JobId job, LogPosition from, net::EventStream stream);
  void unfollow(uint64_t id);

  void log_grew(JobId job);

 private:
  struct Follower {
    uint64_t id = 0;
    JobId job;
    LogPosition at;
    net::EventStream stream;
    int64_t version = -1;  // of the job, as told
    uint64_t watcher = 0;
    std::array<std::string, 4> pending = {};  // of each log stream: the start of a character
    bool pumping = false;
    bool again = false;
    bool closed = false;
  };
  using FollowerPtr = std::shared_ptr<Follower>;
  enum class Pumped : uint8_t { kWaits, kMore, kSlow, kEnded };

  void wake(const FollowerPtr& follower);
  void pump(store::Connection& db, const FollowerPtr& follower);
  Pumped pump_once(store::Connection& db, Follower& follower);
  Pumped send_records(Follower& follower);
  void watch_job(const FollowerPtr& follower, int64_t version);
  void drop(const FollowerPtr& follower);

  DatabaseGate& database_;
  LogStore& logs_;
  JobWatch& watch_;
  Timer& timer_;
  std::mutex mutex_;
  std::multimap<JobId, FollowerPtr> followers_;
  uint64_t next_id_ = 1;
};

}  // namespace bcai::coordinator
