// SPDX-License-Identifier: Apache-2.0
// What the node owes the coordinator, on disk until it is acknowledged:
//   <directory>/<attempt>/lease.json, log, result.json, artifacts/
// A spool owns its directory; one process at a time (the sandbox's lock sees to that).
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "protocol/log_record.h"
#include "protocol/node.h"
#include "protocol/result.h"

namespace bcai::node {

// One attempt's part. The log's functions are for any thread, the rest is one thread's.
class AttemptSpool {
 public:
  // Appends `data` to the log. What comes within `kMergeInterval` on one stream becomes one record,
  // or a job that writes byte by byte would have a log of headers; flush_log() cuts it.
  static constexpr Millis kMergeInterval{100};
  Result<void> append_log(LogStream stream, WallTime time, std::string_view data);
  Result<void> flush_log();
  // Of the records; has_pending() tells of what flush_log() would add.
  int64_t log_bytes() const { return log_bytes_.load(std::memory_order_acquire); }
  bool has_pending() const { return has_pending_.load(std::memory_order_acquire); }
  // Whole records from `offset` on, at most `bytes_max`; "" at the end.
  Result<std::string> read_log(int64_t offset, size_t bytes_max) const;

  // With kSynced the result and the artifacts are on disk when it returns.
  Result<void> write_result(const AttemptResult& result, Durability durability);

  const Lease& lease() const { return lease_; }
  std::filesystem::path artifacts() const { return directory_ / "artifacts"; }

  // Removes everything: the coordinator has it.
  void remove();

 private:
  friend class Spool;
  AttemptSpool(std::filesystem::path directory, Lease lease, UniqueFd log)
      : directory_(std::move(directory)), lease_(std::move(lease)), log_(std::move(log)) {}

  Result<void> flush_locked();

  std::filesystem::path directory_;
  Lease lease_;
  UniqueFd log_;
  std::mutex log_mutex_;
  LogStream pending_stream_ = LogStream::kStdout;
  WallTime pending_since_;
  std::string pending_;
  std::atomic<bool> has_pending_{false};
  std::atomic<int64_t> log_bytes_{0};
};

class Spool {
 public:
  static Result<Spool> open(std::filesystem::path directory);

  // The lease is on disk (not synced: a restart of the machine ends the attempt anyway).
  Result<std::unique_ptr<AttemptSpool>> create(const Lease& lease);

  // What an earlier process left. Without a result: the process ended before the attempt did.
  struct Recovered {
    std::unique_ptr<AttemptSpool> attempt;
    std::optional<AttemptResult> result;
  };
  // A directory that cannot be read is named in `unreadable` and left.
  std::vector<Recovered> recover(std::vector<std::string>* unreadable);

 private:
  explicit Spool(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<Recovered> recover_one(const std::filesystem::path& directory);

  std::filesystem::path directory_;
};

}  // namespace bcai::node
