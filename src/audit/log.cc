// SPDX-License-Identifier: Apache-2.0
#include "audit/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "audit/verify.h"

namespace bcai::audit {
namespace {

constexpr size_t kTornShownMax = 65'536;

Error broken(std::string_view why, const std::filesystem::path& directory) {
  return error(ErrorCode::kDataLoss,
               "the audit log is broken: {} (keep it for whoever looks into that; moved away, "
               "another begins: mv {} {}.broken)",
               why, directory.string(), directory.string());
}

Result<FileEnd> read_whole(const std::filesystem::path& file,
                           const std::filesystem::path& directory) {
  BCAI_TRY_ASSIGN(FileEnd end, read_file_of_log(file, {}));
  if (!end.error.message.empty()) return broken(end.error.message, directory);
  return end;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(const std::filesystem::path& directory,
                                       int64_t file_bytes_max) {
  BCAI_TRY(make_directories(directory, 0700));
  std::unique_ptr<Log> log(new Log(directory, file_bytes_max));
  const std::filesystem::path lock = directory / "lock";
  log->lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!log->lock_) return errno_error(errno, "open " + lock.string());
  if (flock(log->lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return error(ErrorCode::kFailedPrecondition, "another process writes the audit log {}",
                 directory.string());
  }
  BCAI_TRY(log->go_on());
  return log;
}

Result<void> Log::go_on() {
  BCAI_TRY_ASSIGN(const std::vector<std::filesystem::path> files, files_of(directory_));
  if (files.empty()) return {};
  BCAI_TRY_ASSIGN(const FileEnd last, read_whole(files.back(), directory_));
  head_ = last.head;
  // A crash may have come before the first record of a file was whole.
  if (head_.seq == 0 && files.size() > 1) {
    BCAI_TRY_ASSIGN(const FileEnd before, read_whole(files[files.size() - 2], directory_));
    head_ = before.head;
  }
  if (last.head.seq == 0 && files.back().filename() != file_name(head_.seq + 1)) {
    return broken(
        fmt::format("{} is empty, and does not follow record {}", files.back().string(), head_.seq),
        directory_);
  }
  BCAI_TRY(open_file(files.back(), false));
  bytes_ = last.bytes;
  return last.torn.empty() ? Result<void>() : mend(files.back(), last.torn, last.bytes);
}

// The record takes the place of what was torn: a crash in the midst of this leaves a torn line too.
Result<void> Log::mend(const std::filesystem::path& file, std::string_view torn, int64_t at) {
  BCAI_TRY_ASSIGN(const Line line, make_line(head_, SystemClock().wall(), "recovered",
                                             {{"file", file.filename().string()},
                                              {"torn_bytes", static_cast<int64_t>(torn.size())},
                                              {"torn", escape(torn, kTornShownMax)}}));
  BCAI_TRY(write_line(line.text, at));
  head_ = line.head;
  return {};
}

Result<void> Log::open_file(const std::filesystem::path& file, bool fresh) {
  file_.reset(::open(file.c_str(), O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_EXCL : 0), 0600));
  if (!file_) return errno_error(errno, "open " + file.string());
  return fresh ? sync_directory(directory_) : Result<void>();
}

// Afterwards the file ends with the line, or where it began.
Result<void> Log::write_line(std::string_view line, int64_t at) {
  int failed = 0;
  for (size_t done = 0; failed == 0 && done < line.size();) {
    const ssize_t put = pwrite(file_.get(), line.data() + done, line.size() - done,
                               at + static_cast<int64_t>(done));
    if (put >= 0) done += static_cast<size_t>(put);
    if (put < 0 && errno != EINTR) failed = errno;
  }
  const int64_t end = at + (failed == 0 ? static_cast<int64_t>(line.size()) : 0);
  if (ftruncate(file_.get(), end) != 0 && failed == 0) failed = errno;
  if (fdatasync(file_.get()) != 0 && failed == 0) failed = errno;
  if (failed != 0) return errno_error(failed, "write the audit log " + directory_.string());
  bytes_ = end;
  return {};
}

Result<Head> Log::append(std::string_view kind, const json::object& facts) {
  const std::lock_guard guard(mutex_);
  BCAI_TRY_ASSIGN(const Line line, make_line(head_, SystemClock().wall(), kind, facts));
  if (!file_ || (bytes_ > 0 && bytes_ + static_cast<int64_t>(line.text.size()) > file_bytes_max_)) {
    BCAI_TRY(open_file(directory_ / file_name(line.head.seq), true));
    bytes_ = 0;
  }
  BCAI_TRY(write_line(line.text, bytes_));
  head_ = line.head;
  return head_;
}

Head Log::head() const {
  const std::lock_guard guard(mutex_);
  return head_;
}

}  // namespace bcai::audit
