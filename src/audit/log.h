// SPDX-License-Identifier: Apache-2.0
// The writer of an audit log: a directory with files of records, see docs/formats/audit.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>

#include "audit/record.h"
#include "base/file.h"

namespace bcai::audit {

inline constexpr int64_t kFileBytesMax = 64'000'000;

class Log {
 public:
  // Makes the directory, goes on after its last record. What a crash tore is replaced by a record
  // "recovered" that holds it. kDataLoss when the last file is broken otherwise,
  // kFailedPrecondition when another process writes here.
  static Result<std::unique_ptr<Log>> open(const std::filesystem::path& directory,
                                           int64_t file_bytes_max = kFileBytesMax);

  // Any thread. The record is on disk when it returns, or, with an Error, nowhere.
  Result<Head> append(std::string_view kind, const json::object& facts);

  Head head() const;

 private:
  explicit Log(std::filesystem::path directory, int64_t file_bytes_max)
      : directory_(std::move(directory)), file_bytes_max_(file_bytes_max) {}
  Result<void> go_on();
  Result<void> mend(const std::filesystem::path& file, std::string_view torn, int64_t at);
  Result<void> open_file(const std::filesystem::path& file, bool fresh);
  Result<void> write_line(std::string_view line, int64_t at);

  const std::filesystem::path directory_;
  const int64_t file_bytes_max_;
  UniqueFd lock_;
  mutable std::mutex mutex_;
  UniqueFd file_;
  int64_t bytes_ = 0;  // of whole records in the file
  Head head_;
};

}  // namespace bcai::audit
