// SPDX-License-Identifier: Apache-2.0
#include "node/input_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/file.h"
#include "node/backoff.h"

namespace bcai::node {
namespace {

constexpr Millis kStallTimeout{60'000};

// What has come of a file so far. A break goes on from here.
struct Download {
  UniqueFd file;
  Sha256Stream hash;
  int64_t bytes = 0;
  std::string problem;
};

Result<Sha256> digest_of_file(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  Sha256Stream hash;
  std::string buffer(size_t{256} << 10, '\0');
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path.string());
    if (got == 0) return hash.finish();
    hash.update(std::string_view(buffer).substr(0, static_cast<size_t>(got)));
  }
}

}  // namespace

Result<std::unique_ptr<InputCache>> InputCache::open(std::filesystem::path directory,
                                                     int64_t bytes_max, Link& link) {
  BCAI_TRY(make_directories(directory, 0700));
  std::unique_ptr<InputCache> cache(new InputCache(std::move(directory), bytes_max, link));
  struct Found {
    Sha256 digest;
    int64_t bytes;
    std::filesystem::file_time_type at;
  };
  std::vector<Found> found;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(cache->directory_, ec)) {
    Result<Sha256> digest = Sha256::parse(entry.path().filename().string());
    std::error_code unreadable;
    if (digest && entry.is_regular_file(unreadable)) {
      found.push_back({*digest, static_cast<int64_t>(entry.file_size(unreadable)),
                       entry.last_write_time(unreadable)});
    } else {
      std::filesystem::remove(entry.path(), unreadable);  // a download that was cut short
    }
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.at < b.at; });
  for (const Found& file : found) {
    cache->entries_[file.digest] = {.bytes = file.bytes, .ready = true, .used = ++cache->uses_};
  }
  const std::lock_guard lock(cache->mutex_);
  cache->evict();
  return cache;
}

bool InputCache::is_good(const Sha256& digest, int64_t bytes, bool verified) const {
  struct stat info {};
  if (stat(path_of(digest).c_str(), &info) != 0 || info.st_size != bytes) return false;
  if (verified) return true;
  const Result<Sha256> found = digest_of_file(path_of(digest));
  return found && *found == digest;
}

Result<std::filesystem::path> InputCache::pin(const Sha256& digest, int64_t bytes,
                                              const std::function<bool()>& given_up) {
  std::unique_lock lock(mutex_);
  for (auto found = entries_.find(digest); found != entries_.end() && !found->second.ready;
       found = entries_.find(digest)) {
    fetched_.wait_for(lock, Millis(200));
    if (given_up()) return error(ErrorCode::kCancelled, "ended while its files were fetched");
  }
  const auto known = entries_.find(digest);
  const bool fetched_before = known != entries_.end();
  Entry& entry = entries_[digest];
  // While it is not ready, others wait and nobody evicts it.
  const bool verified = fetched_before && entry.verified;
  const int pins = entry.pins;
  entry.ready = false;
  entry.pins += 1;
  lock.unlock();

  Result<void> got;
  if (!fetched_before || !is_good(digest, bytes, verified)) got = fetch(digest, bytes, given_up);

  lock.lock();
  if (!got && pins == 0) {
    entries_.erase(digest);
    std::error_code ec;
    std::filesystem::remove(path_of(digest), ec);
  } else {
    Entry& now = entries_[digest];
    if (!got) now.pins -= 1;
    now.ready = true;
    now.verified = got.has_value();
    now.bytes = bytes;
    now.used = ++uses_;
  }
  evict();
  lock.unlock();
  fetched_.notify_all();
  if (!got) return std::move(got).error();
  utimensat(AT_FDCWD, path_of(digest).c_str(), nullptr, 0);
  return path_of(digest);
}

void InputCache::unpin(const Sha256& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return;
  found->second.pins -= 1;
  evict();
}

int64_t InputCache::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t total = 0;
  for (const auto& [digest, entry] : entries_) total += entry.bytes;
  return total;
}

void InputCache::evict() {
  int64_t total = 0;
  for (const auto& [digest, entry] : entries_) total += entry.bytes;
  while (total > bytes_max_) {
    auto oldest = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
      if (at->second.pins > 0 || !at->second.ready) continue;
      if (oldest == entries_.end() || at->second.used < oldest->second.used) oldest = at;
    }
    if (oldest == entries_.end()) return;
    std::error_code ec;
    std::filesystem::remove(path_of(oldest->first), ec);
    total -= oldest->second.bytes;
    entries_.erase(oldest);
  }
}

Result<void> InputCache::fetch(const Sha256& digest, int64_t bytes,
                               const std::function<bool()>& given_up) {
  std::string temporary = path_of(digest).string() + ".XXXXXX";
  Download download;
  download.file = UniqueFd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!download.file) return errno_error(errno, "create " + temporary);
  const auto fail = [&](Error error) {
    unlink(temporary.c_str());
    return error;
  };
  SystemRandom random;
  Backoff backoff(Millis(100), Millis(10'000));
  while (download.bytes < bytes || bytes == 0) {
    net::ClientRequest request;
    request.target = "/v1/artifacts/" + digest.text();
    request.timeout = kStallTimeout;
    if (download.bytes > 0) {
      request.headers.emplace_back("Range", fmt::format("bytes={}-", download.bytes));
    }
    request.on_body = [&](std::string_view piece) {
      if (given_up()) return false;
      if (static_cast<int64_t>(piece.size()) > bytes - download.bytes) {
        download.problem = fmt::format("is larger than the {} bytes that were announced", bytes);
        return false;
      }
      if (auto wrote = write_all(download.file.get(), piece); !wrote) {
        download.problem = wrote.error().message;
        return false;
      }
      download.hash.update(piece);
      download.bytes += static_cast<int64_t>(piece.size());
      return true;
    };
    const int64_t before = download.bytes;
    const Answer answer = link_.ask(std::move(request));
    if (!download.problem.empty()) return fail({ErrorCode::kDataLoss, download.problem});
    if (given_up()) return fail(error(ErrorCode::kCancelled, "ended while its files were fetched"));
    if (answer.ok() && download.bytes == bytes) break;
    if (answer.status != 0 && !answer.passing() && !answer.ok()) return fail(answer.error);
    if (download.bytes > before) backoff.reset();
    if (!link_.pause(backoff.next(random, answer.retry_after()))) {
      return fail(error(ErrorCode::kCancelled, "the node stops"));
    }
  }
  if (download.hash.finish() != digest) {
    return fail(error(ErrorCode::kDataLoss, "its bytes are not those of {}", digest.text()));
  }
  if (rename(temporary.c_str(), path_of(digest).c_str()) != 0) {
    return fail(errno_error(errno, "rename to " + path_of(digest).string()));
  }
  return {};
}

}  // namespace bcai::node
