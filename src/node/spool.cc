// SPDX-License-Identifier: Apache-2.0
#include "node/spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bcai::node {
namespace {

constexpr int64_t kLeaseBytesMax = int64_t{32} << 20;
constexpr int64_t kResultBytesMax = int64_t{64} << 20;

Result<UniqueFd> open_log(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  return fd;
}

// The size of the whole records that `text` begins with.
size_t whole_records(std::string_view text) {
  size_t whole = 0;
  size_t consumed = 0;
  while (read_log_record(text.substr(whole), &consumed)) whole += consumed;
  return whole;
}

Result<size_t> read_at(int fd, int64_t offset, char* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(fd, out + done, size - done, static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read the log");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void sync_files(const std::filesystem::path& directory) {
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ec)) {
    UniqueFd fd(open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (fd) fsync(fd.get());
  }
}

}  // namespace

Result<void> AttemptSpool::append_log(LogStream stream, WallTime time, std::string_view data) {
  const std::lock_guard lock(log_mutex_);
  if (!pending_.empty() && (stream != pending_stream_ || time - pending_since_ > kMergeInterval)) {
    BCAI_TRY(flush_locked());
  }
  while (!data.empty()) {
    if (pending_.empty()) {
      pending_stream_ = stream;
      pending_since_ = time;
    }
    const std::string_view text = data.substr(0, kLogTextBytesMax - pending_.size());
    data.remove_prefix(text.size());
    pending_ += text;
    has_pending_.store(true, std::memory_order_release);
    if (pending_.size() == kLogTextBytesMax) BCAI_TRY(flush_locked());
  }
  return {};
}

Result<void> AttemptSpool::flush_log() {
  const std::lock_guard lock(log_mutex_);
  return flush_locked();
}

Result<void> AttemptSpool::flush_locked() {
  if (pending_.empty()) return {};
  std::string record;
  append_log_record(record, pending_stream_, pending_since_, pending_);
  pending_.clear();
  has_pending_.store(false, std::memory_order_release);
  const int64_t before = log_bytes_.load(std::memory_order_relaxed);
  if (auto wrote = write_all(log_.get(), record); !wrote) {
    // A torn record would hide all that comes after it.
    (void)ftruncate(log_.get(), static_cast<off_t>(before));
    return error(wrote.error().code, "append to the log of {}: {}", lease_.attempt.text(),
                 wrote.error().message);
  }
  log_bytes_.store(before + static_cast<int64_t>(record.size()), std::memory_order_release);
  return {};
}

Result<std::string> AttemptSpool::read_log(int64_t offset, size_t bytes_max) const {
  const int64_t left = log_bytes() - offset;
  if (left <= 0 || offset < 0) return std::string();
  std::string text(std::min(bytes_max, static_cast<size_t>(left)), '\0');
  BCAI_TRY_ASSIGN(const size_t got, read_at(log_.get(), offset, text.data(), text.size()));
  text.resize(got);
  text.resize(whole_records(text));
  return text;
}

Result<void> AttemptSpool::write_result(const AttemptResult& result, Durability durability) {
  if (durability == Durability::kSynced) {
    fsync(log_.get());
    sync_files(artifacts());
  }
  return write_file(directory_ / "result.json", to_text(encode(result)), durability, 0600);
}

void AttemptSpool::remove() {
  // The lease goes first: what is left of a removal that was cut short is not an attempt.
  unlink((directory_ / "lease.json").c_str());
  std::error_code ec;
  std::filesystem::remove_all(directory_, ec);
}

Result<Spool> Spool::open(std::filesystem::path directory) {
  BCAI_TRY(make_directories(directory, 0700));
  return Spool(std::move(directory));
}

Result<std::unique_ptr<AttemptSpool>> Spool::create(const Lease& lease) {
  const std::filesystem::path directory = directory_ / lease.attempt.text();
  BCAI_TRY(make_directories(directory / "artifacts", 0700));
  BCAI_TRY(write_file(directory / "lease.json", to_text(encode(lease)), Durability::kCached, 0600));
  BCAI_TRY_ASSIGN(UniqueFd log, open_log(directory / "log"));
  return std::unique_ptr<AttemptSpool>(new AttemptSpool(directory, lease, std::move(log)));
}

std::vector<Spool::Recovered> Spool::recover(std::vector<std::string>* unreadable) {
  std::vector<Recovered> found;
  std::error_code ec;
  std::vector<std::filesystem::path> directories;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ec)) {
    directories.push_back(entry.path());
  }
  std::sort(directories.begin(), directories.end());  // ids sort by age
  for (const std::filesystem::path& directory : directories) {
    std::error_code absent;
    if (!std::filesystem::exists(directory / "lease.json", absent)) {
      std::filesystem::remove_all(directory, absent);
      continue;
    }
    if (Result<Recovered> recovered = recover_one(directory); recovered) {
      found.push_back(*std::move(recovered));
    } else {
      unreadable->push_back(recovered.error().message);
    }
  }
  return found;
}

Result<Spool::Recovered> Spool::recover_one(const std::filesystem::path& directory) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(directory / "lease.json", kLeaseBytesMax));
  BCAI_TRY_ASSIGN(const json::value value, parse_json(text));
  std::vector<Finding> findings;
  Lease lease = decode_lease(value, &findings);
  if (!findings.empty() || lease.attempt.text() != directory.filename()) {
    return error(ErrorCode::kDataLoss, "{}: not the lease of this attempt: {}",
                 (directory / "lease.json").string(), findings_text(findings));
  }
  BCAI_TRY(make_directories(directory / "artifacts", 0700));
  BCAI_TRY_ASSIGN(UniqueFd log, open_log(directory / "log"));
  struct stat info {};
  if (fstat(log.get(), &info) != 0) return errno_error(errno, "stat the log");
  std::unique_ptr<AttemptSpool> attempt(
      new AttemptSpool(directory, std::move(lease), std::move(log)));
  // A machine that lost power may have left half a record.
  int64_t whole = 0;
  attempt->log_bytes_ = info.st_size;
  for (;;) {
    BCAI_TRY_ASSIGN(const std::string records, attempt->read_log(whole, size_t{1} << 20));
    if (records.empty()) break;
    whole += static_cast<int64_t>(records.size());
  }
  if (ftruncate(attempt->log_.get(), static_cast<off_t>(whole)) != 0) {
    return errno_error(errno, "truncate the log");
  }
  attempt->log_bytes_ = whole;

  Recovered recovered{std::move(attempt), std::nullopt};
  Result<std::string> result_text = read_file(directory / "result.json", kResultBytesMax);
  if (!result_text) return recovered;
  if (Result<json::value> parsed = parse_json(*result_text); parsed) {
    AttemptResult result = decode_attempt_result(*parsed, &findings);
    if (findings.empty()) recovered.result = std::move(result);
  }
  return recovered;
}

}  // namespace bcai::node
