// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/file.h"
#include "base/units.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kUploadsKept = 64;  // digests in memory, of each stripe
constexpr auto kPartKept = std::chrono::hours(24 * 7);

Result<void> sync_directory(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return errno_error(errno, "sync " + path.string());
  return {};
}

void remove_stale_parts(const std::filesystem::path& directory) {
  std::error_code ignored;
  const auto oldest = std::filesystem::file_time_type::clock::now() - kPartKept;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const auto written = entry.last_write_time(ignored);
    if (!ignored && written < oldest) std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace

Result<std::unique_ptr<ArtifactStore>> ArtifactStore::open(const std::filesystem::path& directory,
                                                           int64_t bytes_max) {
  BCAI_TRY(make_directories(directory / "parts", 0700));
  remove_stale_parts(directory / "parts");
  return std::unique_ptr<ArtifactStore>(new ArtifactStore(directory, bytes_max));
}

std::filesystem::path ArtifactStore::path_of(const Sha256& sha256) const {
  const std::string text = sha256.text();
  return directory_ / text.substr(0, 2) / text;
}

std::filesystem::path ArtifactStore::part_path(const Sha256& sha256,
                                               const IdBytes& uploader) const {
  return directory_ / "parts" / (sha256.text() + "." + to_hex(uploader));
}

std::optional<int64_t> ArtifactStore::size(const Sha256& sha256) const {
  struct stat info {};
  if (stat(path_of(sha256).c_str(), &info) != 0) return std::nullopt;
  return info.st_size;
}

int64_t ArtifactStore::upload_offset(const Sha256& sha256, const IdBytes& uploader) const {
  struct stat info {};
  return stat(part_path(sha256, uploader).c_str(), &info) == 0 ? info.st_size : 0;
}

// The state of an upload that this process has not seen, from its file.
Result<ArtifactStore::Upload> ArtifactStore::resume(const std::filesystem::path& path) const {
  Upload upload;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return upload;
  if (!fd) return errno_error(errno, "open " + path.string());
  std::string buffer(1 << 18, '\0');
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path.string());
    if (got == 0) return upload;
    upload.digest.update(std::string_view(buffer).substr(0, static_cast<size_t>(got)));
    upload.offset += got;
  }
}

Result<void> ArtifactStore::publish(const std::filesystem::path& part, const Sha256& sha256) const {
  const std::filesystem::path path = path_of(sha256);
  BCAI_TRY(make_directories(path.parent_path(), 0700));
  if (rename(part.c_str(), path.c_str()) != 0) {
    return errno_error(errno, "rename to " + path.string());
  }
  BCAI_TRY(sync_directory(path.parent_path()));
  return sync_directory(directory_);
}

Result<ArtifactPut> ArtifactStore::put(const ArtifactPart& part) {
  const auto bytes = static_cast<int64_t>(part.data.size());
  if (part.total < 0 || part.offset < 0 || part.offset > part.total ||
      bytes > part.total - part.offset) {
    return error(ErrorCode::kInvalidArgument, "a part of {} bytes at {} lies outside of {} bytes",
                 bytes, part.offset, part.total);
  }
  if (part.total > bytes_max_) {
    return error(ErrorCode::kResourceExhausted, "an artifact may have {}, this one has {}",
                 format_bytes(bytes_max_), format_bytes(part.total));
  }
  const std::filesystem::path path = part_path(part.sha256, part.uploader);
  const UploadKey key{part.sha256, part.uploader};
  Stripe& stripe = stripes_[part.sha256.bytes[0] % stripes_.size()];
  std::lock_guard lock(stripe.mutex);
  auto upload = stripe.uploads.find(key);
  if (upload == stripe.uploads.end()) {
    BCAI_TRY_ASSIGN(Upload resumed, resume(path));
    if (stripe.uploads.size() >= kUploadsKept) stripe.uploads.erase(stripe.uploads.begin());
    upload = stripe.uploads.emplace(key, std::move(resumed)).first;
  }
  if (part.offset != upload->second.offset) {
    return ArtifactPut{ArtifactPut::State::kWrongOffset, upload->second.offset};
  }
  // Forgotten unless all goes well: the next part then finds the truth in the file.
  Upload state = std::move(upload->second);
  stripe.uploads.erase(upload);

  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  if (auto wrote = write_all(fd.get(), part.data); !wrote) {
    if (ftruncate(fd.get(), state.offset) != 0) unlink(path.c_str());
    return Error{wrote.error().code, path.string() + ": " + wrote.error().message};
  }
  state.digest.update(part.data);
  state.offset += bytes;
  if (state.offset < part.total) {
    const int64_t offset = state.offset;
    stripe.uploads.emplace(key, std::move(state));
    return ArtifactPut{ArtifactPut::State::kPart, offset};
  }
  const Sha256 found = state.digest.finish();
  if (found != part.sha256) {
    unlink(path.c_str());
    return error(ErrorCode::kInvalidArgument, "the bytes have the digest {}, expected {}",
                 found.text(), part.sha256.text());
  }
  if (fdatasync(fd.get()) != 0) return errno_error(errno, "sync " + path.string());
  BCAI_TRY(publish(path, part.sha256));
  return ArtifactPut{ArtifactPut::State::kStored, part.total};
}

}  // namespace bcai::coordinator
