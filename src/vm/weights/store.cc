// SPDX-License-Identifier: Apache-2.0
#include "vm/weights/store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/file.h"

namespace bcai::vm {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

// All that can be read, piece by piece, from the start.
template <typename Take>
Result<void> read_all(int fd, const std::filesystem::path& path, Take take) {
  std::string piece(kPieceBytes, '\0');
  for (off_t at = 0;;) {
    const ssize_t got = pread(fd, piece.data(), piece.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path.string());
    if (got == 0) return {};
    at += got;
    BCAI_TRY(take(std::string_view(piece.data(), static_cast<size_t>(got))));
  }
}

// Not blocking: a named pipe is refused, not waited for.
Result<UniqueFd> open_regular(const std::filesystem::path& path, int flags = 0) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags));
  if (!fd) return errno_error(errno, "open " + path.string());
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path.string());
  if (!S_ISREG(info.st_mode)) {
    return error(ErrorCode::kInvalidArgument, "{} is no regular file", path.string());
  }
  return fd;
}

// What changes when somebody writes to a file or puts another in its place.
Result<std::string> state_of(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat " + path.string());
  return fmt::format("{} {} {} {}.{:09} {}.{:09}\n", info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                     info.st_ctim.tv_nsec);
}

// Whether its last change is so long ago that one to come will have another time.
bool is_at_rest(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && info.st_ctim.tv_sec + 1 < time(nullptr);
}

// Beside a stored file: its state when its content had the digest of its name.
std::filesystem::path checked_path(const std::filesystem::path& path) {
  return path.string() + ".checked";
}

Result<void> note_checked(int fd, const std::filesystem::path& path) {
  BCAI_TRY_ASSIGN(const std::string state, state_of(fd, path));
  return write_file(checked_path(path), state, Durability::kCached, 0600);
}

// Reads the whole file, unless it is as it was when it was read last.
Result<void> check_digest(int fd, const std::filesystem::path& path, const Sha256& expected) {
  BCAI_TRY_ASSIGN(const std::string state, state_of(fd, path));
  const Result<std::string> known = read_file(checked_path(path), 1000);
  if (known && *known == state) return {};
  Sha256Stream digest;
  BCAI_TRY(read_all(fd, path, [&](std::string_view piece) {
    digest.update(piece);
    return Result<void>();
  }));
  if (digest.finish() != expected) {
    return error(ErrorCode::kDataLoss, "{} has other content than its name says", path.string());
  }
  return note_checked(fd, path);
}

}  // namespace

void Weights::drop_pages() const {
  if (!mapped_.empty()) madvise(const_cast<char*>(mapped_.data()), mapped_.size(), MADV_DONTNEED);
}

Weights::~Weights() {
  if (!mapped_.empty()) munmap(const_cast<char*>(mapped_.data()), mapped_.size());
}

const TensorView* Weights::find(std::string_view name) const {
  const auto at = std::lower_bound(
      content_.tensors.begin(), content_.tensors.end(), name,
      [](const TensorView& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != content_.tensors.end() && at->name == name ? &*at : nullptr;
}

Result<std::unique_ptr<WeightStore>> WeightStore::open(std::filesystem::path directory) {
  BCAI_TRY(make_directories(directory, 0700));
  return std::unique_ptr<WeightStore>(new WeightStore(std::move(directory)));
}

// Without the digest.
Result<std::shared_ptr<Weights>> WeightStore::map(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return errno_error(errno, "stat " + path.string());
  std::shared_ptr<Weights> weights(new Weights);
  if (const auto size = static_cast<size_t>(info.st_size); size > 0) {
    void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED) return errno_error(errno, "map " + path.string());
    weights->mapped_ = {static_cast<const char*>(start), size};
  }
  std::vector<Finding> findings;
  std::optional<Safetensors> content = read_safetensors(weights->mapped_, &findings);
  if (!content) {
    return error(ErrorCode::kInvalidArgument, "{}: {}", path.string(), findings_text(findings));
  }
  weights->content_ = *std::move(content);
  return weights;
}

Result<std::shared_ptr<const Weights>> WeightStore::add(const std::filesystem::path& path) {
  BCAI_TRY_ASSIGN(const UniqueFd source, open_regular(path));
  BCAI_TRY_ASSIGN(const std::string state, state_of(source.get(), path));
  const std::filesystem::path note = directory_ / "added" / Sha256::of(state).text();
  if (const Result<std::string> noted = read_file(note, 1000)) {
    if (const Result<Sha256> digest = Sha256::parse(*noted)) {
      if (auto known = load(*digest)) return known;
    }
  }
  Sha256Stream stream;
  BCAI_TRY(read_all(source.get(), path, [&](std::string_view piece) {
    stream.update(piece);
    return Result<void>();
  }));
  Result<std::shared_ptr<const Weights>> added = load(stream.finish());
  if (!added) added = copy(source.get(), path);
  const Result<std::string> after = state_of(source.get(), path);
  if (added && is_at_rest(source.get()) && after && *after == state) {
    BCAI_TRY(make_directories(note.parent_path(), 0700));
    BCAI_TRY(write_file(note, (*added)->sha256().text(), Durability::kCached, 0600));
  }
  return added;
}

// The digest is of what was written, whatever happened to the source meanwhile.
Result<std::shared_ptr<const Weights>> WeightStore::copy(int source,
                                                         const std::filesystem::path& path) {
  std::string temporary = (directory_ / "incoming.XXXXXX").string();
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return errno_error(errno, "create " + temporary);
  const auto fail = [&](Error error) {
    unlink(temporary.c_str());
    return error;
  };
  Sha256Stream digest;
  Result<void> done = read_all(source, path, [&](std::string_view piece) {
    digest.update(piece);
    return write_all(fd.get(), piece);
  });
  if (!done) return fail(std::move(done).error());
  Result<std::shared_ptr<Weights>> weights = map(fd.get(), path);
  if (!weights) return fail(std::move(weights).error());
  (*weights)->sha256_ = digest.finish();
  const std::filesystem::path target = path_of((*weights)->sha256_);
  if (fchmod(fd.get(), 0400) != 0 || fsync(fd.get()) != 0 ||
      rename(temporary.c_str(), target.c_str()) != 0) {
    return fail(errno_error(errno, "store " + target.string()));
  }
  BCAI_TRY(note_checked(fd.get(), target));
  return hold(*std::move(weights));
}

Result<std::shared_ptr<const Weights>> WeightStore::load(const Sha256& sha256) {
  if (std::shared_ptr<const Weights> weights = held(sha256)) return weights;
  const std::filesystem::path path = path_of(sha256);
  BCAI_TRY_ASSIGN(const UniqueFd fd, open_regular(path, O_NOFOLLOW));
  BCAI_TRY(check_digest(fd.get(), path, sha256));
  BCAI_TRY_ASSIGN(std::shared_ptr<Weights> weights, map(fd.get(), path));
  weights->sha256_ = sha256;
  return hold(std::move(weights));
}

std::shared_ptr<const Weights> WeightStore::held(const Sha256& sha256) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(sha256);
  return found == held_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<const Weights> WeightStore::hold(std::shared_ptr<const Weights> weights) {
  const std::lock_guard lock(mutex_);
  std::erase_if(held_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const Weights>& entry = held_[weights->sha256()];
  if (std::shared_ptr<const Weights> first = entry.lock()) return first;
  entry = weights;
  return weights;
}

}  // namespace bcai::vm
