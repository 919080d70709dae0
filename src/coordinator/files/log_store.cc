// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "protocol/log_record.h"

namespace bcai::coordinator {
namespace {

constexpr int64_t kRecordBytesMax = kLogHeaderBytes + kLogTextBytesMax;
constexpr size_t kSizesKept = 4096;  // of each stripe
constexpr std::string_view kDroppedNote = " bytes of output were dropped: the log is full\n";

Result<std::string> read_at(int fd, int64_t offset, int64_t bytes, const std::string& path) {
  std::string data(static_cast<size_t>(bytes), '\0');
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t got =
        pread(fd, data.data() + done, data.size() - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  data.resize(done);
  return data;
}

Result<void> write_at(int fd, int64_t offset, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t put = pwrite(fd, data.data(), data.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_error(errno, "write " + path);
    data.remove_prefix(static_cast<size_t>(put));
    offset += put;
  }
  return {};
}

// Whole records at the start of `data`, as bytes.
size_t whole_records(std::string_view data) {
  size_t end = 0;
  while (end < data.size()) {
    size_t consumed = 0;
    if (!read_log_record(data.substr(end), &consumed)) break;
    end += consumed;
  }
  return end;
}

struct Scan {
  int64_t end = 0;   // of the last whole record
  int64_t last = 0;  // where that record begins
};

Result<Scan> scan(int fd, const std::string& path) {
  constexpr int64_t kStep = 1 << 20;
  Scan scan;
  for (;;) {
    BCAI_TRY_ASSIGN(const std::string data, read_at(fd, scan.end, kStep, path));
    size_t done = 0;
    size_t consumed = 0;
    while (read_log_record(std::string_view(data).substr(done), &consumed)) {
      scan.last = scan.end + static_cast<int64_t>(done);
      done += consumed;
    }
    scan.end += static_cast<int64_t>(done);
    if (done == 0 || static_cast<int64_t>(data.size()) < kStep) return scan;
  }
}

// No further record of the largest size fits: from here on anything may be dropped.
bool is_full(int64_t size, int64_t bytes_max) { return size > bytes_max - kRecordBytesMax; }

// A new file's name, and that of its folder, are on disk only when the folders above are synced.
Result<void> sync(int fd, const std::filesystem::path& path, bool created) {
  if (fdatasync(fd) != 0) return errno_error(errno, "sync " + path.string());
  if (!created) return {};
  BCAI_TRY(sync_directory(path.parent_path()));
  return sync_directory(path.parent_path().parent_path());
}

}  // namespace

Result<std::unique_ptr<LogStore>> LogStore::open(const std::filesystem::path& directory) {
  BCAI_TRY(make_directories(directory, 0700));
  return std::unique_ptr<LogStore>(new LogStore(directory));
}

std::filesystem::path LogStore::path_of(AttemptId attempt) const {
  // The last byte is random, the first ones are the time.
  return directory_ / fmt::format("{:02x}", attempt.bytes.back()) / (attempt.text() + ".log");
}

LogStore::Stripe& LogStore::stripe_of(AttemptId attempt) {
  return stripes_[attempt.bytes.back() % stripes_.size()];
}

Result<int> LogStore::open_for_append(AttemptId attempt, bool* created) const {
  const std::filesystem::path path = path_of(attempt);
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  *created = fd < 0 && errno == ENOENT;
  if (*created) {
    BCAI_TRY(make_directories(path.parent_path(), 0700));
    fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  }
  if (fd < 0) return errno_error(errno, "open " + path.string());
  return fd;
}

// The size as far as whole records go. A crash can leave a torn record behind; it is overwritten by
// the next append, because the node still has it.
Result<int64_t> LogStore::size_locked(Stripe& stripe, AttemptId attempt) {
  if (const auto known = stripe.sizes.find(attempt); known != stripe.sizes.end()) {
    return known->second;
  }
  const std::filesystem::path path = path_of(attempt);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return 0;
  if (!fd) return errno_error(errno, "open " + path.string());
  BCAI_TRY_ASSIGN(const Scan found, scan(fd.get(), path.string()));
  if (stripe.sizes.size() >= kSizesKept) stripe.sizes.erase(stripe.sizes.begin());
  stripe.sizes[attempt] = found.end;
  return found.end;
}

Result<int64_t> LogStore::size(AttemptId attempt) {
  Stripe& stripe = stripe_of(attempt);
  std::lock_guard lock(stripe.mutex);
  return size_locked(stripe, attempt);
}

Result<LogAppended> LogStore::append(const LogAppend& append) {
  if (append.offset < 0 || append.offset > INT64_MAX / 2) {
    return error(ErrorCode::kInvalidArgument, "offset: expected 0 to {}, found {}", INT64_MAX / 2,
                 append.offset);
  }
  if (const size_t whole = whole_records(append.records); whole != append.records.size()) {
    return error(ErrorCode::kInvalidArgument, "the body is no sequence of log records at byte {}",
                 whole);
  }
  const std::string path = path_of(append.attempt).string();
  const int64_t end = append.offset + static_cast<int64_t>(append.records.size());
  Stripe& stripe = stripe_of(append.attempt);
  std::unique_lock lock(stripe.mutex);
  BCAI_TRY_ASSIGN(const int64_t size, size_locked(stripe, append.attempt));
  if (append.offset > size) {
    return is_full(size, append.bytes_max) ? LogAppended{true, end} : LogAppended{false, size};
  }
  bool created = false;
  BCAI_TRY_ASSIGN(const int opened, open_for_append(append.attempt, &created));
  UniqueFd fd(opened);
  const auto overlap = static_cast<size_t>(
      std::min(size - append.offset, static_cast<int64_t>(append.records.size())));
  if (overlap > 0) {
    BCAI_TRY_ASSIGN(const std::string there,
                    read_at(fd.get(), append.offset, static_cast<int64_t>(overlap), path));
    if (there != append.records.substr(0, overlap)) {
      return is_full(size, append.bytes_max) ? LogAppended{true, end} : LogAppended{false, size};
    }
  }
  std::string_view fresh = append.records.substr(overlap);
  size_t kept = 0;
  while (kept < fresh.size()) {
    size_t consumed = 0;
    if (!read_log_record(fresh.substr(kept), &consumed)) break;
    if (size + static_cast<int64_t>(kept + consumed) > append.bytes_max) break;
    kept += consumed;
  }
  BCAI_TRY(write_at(fd.get(), size, fresh.substr(0, kept), path));
  stripe.sizes[append.attempt] = size + static_cast<int64_t>(kept);
  lock.unlock();
  BCAI_TRY(sync(fd.get(), path, created));
  return LogAppended{true, std::max(end, size)};
}

Result<LogSlice> LogStore::read(AttemptId attempt, int64_t offset, int64_t limit) {
  LogSlice slice;
  slice.next_offset = offset;
  BCAI_TRY_ASSIGN(slice.size, size(attempt));
  if (offset >= slice.size) return slice;
  const std::string path = path_of(attempt).string();
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path);
  const int64_t wanted = std::min(std::max(limit, kRecordBytesMax), slice.size - offset);
  BCAI_TRY_ASSIGN(slice.records, read_at(fd.get(), offset, wanted, path));
  size_t whole = 0;
  size_t consumed = 0;
  while (read_log_record(std::string_view(slice.records).substr(whole), &consumed)) {
    if (whole > 0 && static_cast<int64_t>(whole + consumed) > limit) break;
    whole += consumed;
  }
  if (whole == 0) {
    return error(ErrorCode::kInvalidArgument, "offset: no record of the log begins at {}", offset);
  }
  slice.records.resize(whole);
  slice.next_offset = offset + static_cast<int64_t>(whole);
  return slice;
}

Result<void> LogStore::finish(AttemptId attempt, int64_t log_bytes, int64_t bytes_max,
                              WallTime now) {
  const std::filesystem::path path = path_of(attempt);
  Stripe& stripe = stripe_of(attempt);
  std::lock_guard lock(stripe.mutex);
  BCAI_TRY_ASSIGN(const int64_t size, size_locked(stripe, attempt));
  if (size >= log_bytes) return {};
  if (!is_full(size, bytes_max)) {
    return error(ErrorCode::kFailedPrecondition,
                 "log_bytes: the log has {} bytes here, expected {}; send the rest first", size,
                 log_bytes);
  }
  bool created = false;
  BCAI_TRY_ASSIGN(const int opened, open_for_append(attempt, &created));
  UniqueFd fd(opened);
  BCAI_TRY_ASSIGN(const Scan found, scan(fd.get(), path.string()));
  BCAI_TRY_ASSIGN(const std::string tail,
                  read_at(fd.get(), found.last, found.end - found.last, path.string()));
  size_t consumed = 0;
  if (const auto last = read_log_record(tail, &consumed);
      last && last->stream == LogStream::kSystem && last->text.ends_with(kDroppedNote)) {
    return {};
  }
  std::string note;
  append_log_record(note, LogStream::kSystem, now,
                    fmt::format("{}{}", log_bytes - size, kDroppedNote));
  BCAI_TRY(write_at(fd.get(), size, note, path.string()));
  stripe.sizes[attempt] = size + static_cast<int64_t>(note.size());
  return sync(fd.get(), path, created);
}

}  // namespace bcai::coordinator
