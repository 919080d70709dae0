// SPDX-License-Identifier: Apache-2.0
// Logs of attempts, one file of records (protocol/log_record.h) each: DIRECTORY/<xx>/<attempt>.log.
// An offset into the node's copy is an offset into the file. A file only grows; whole records only
// are ever seen. What append() has accepted is on disk when it returns. Thread-safe; calls block on
// the disk.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace bcai::coordinator {

struct LogAppend {
  AttemptId attempt;
  int64_t offset = 0;        // where `records` stand in the node's log
  std::string_view records;  // whole ones
  int64_t bytes_max = 0;     // of the file; records beyond are dropped and still accepted
};

// accepted is false when there is a gap before the offset, or other bytes stand there already.
struct LogAppended {
  bool accepted = false;
  int64_t offset = 0;  // accepted: all before it may be forgotten by the node; else: the file's end
};

struct LogSlice {
  std::string records;      // whole ones, from the offset that was asked for
  int64_t next_offset = 0;  // behind them
  int64_t size = 0;         // of the whole log
};

class LogStore {
 public:
  static Result<std::unique_ptr<LogStore>> open(const std::filesystem::path& directory);

  // kInvalidArgument when `records` are no whole records.
  Result<LogAppended> append(const LogAppend& append);

  // About `limit` bytes from `offset`, and at least one record if there is one. An offset beyond
  // the end gives nothing. kInvalidArgument when no record begins at `offset`.
  Result<LogSlice> read(AttemptId attempt, int64_t offset, int64_t limit);

  // 0 when there is no log.
  Result<int64_t> size(AttemptId attempt);

  // The node says that its log has `log_bytes`. kFailedPrecondition while some are missing that
  // were not dropped; if some were dropped, the log's last record then says how many.
  Result<void> finish(AttemptId attempt, int64_t log_bytes, int64_t bytes_max, WallTime now);

 private:
  explicit LogStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  struct Stripe {
    std::mutex mutex;
    std::map<AttemptId, int64_t> sizes;  // of logs that were scanned; forgotten when many
  };

  std::filesystem::path path_of(AttemptId attempt) const;
  Stripe& stripe_of(AttemptId attempt);
  Result<int64_t> size_locked(Stripe& stripe, AttemptId attempt);
  Result<int> open_for_append(AttemptId attempt, bool* created) const;

  std::filesystem::path directory_;
  std::array<Stripe, 16> stripes_;
};

}  // namespace bcai::coordinator
