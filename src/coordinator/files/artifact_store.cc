// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/file.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kUploadsKept = 64;  // digests in memory, of each stripe

// Whose part a file of this name is.
std::optional<std::pair<Sha256, IdBytes>> read_part_name(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const Result<Sha256> sha256 = Sha256::parse(name.substr(0, dot));
  const Result<std::string> hex = from_hex(name.substr(dot + 1));
  std::pair<Sha256, IdBytes> found;
  if (!sha256 || !hex || hex->size() != found.second.size()) return std::nullopt;
  found.first = *sha256;
  std::copy(hex->begin(), hex->end(), found.second.begin());
  return found;
}

}  // namespace

Result<std::unique_ptr<ArtifactStore>> ArtifactStore::open(const std::filesystem::path& directory) {
  BCAI_TRY(make_directories(directory / "parts", 0700));
  std::unique_ptr<ArtifactStore> store(new ArtifactStore(directory));
  store->count_parts();
  return store;
}

void ArtifactStore::count_parts() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "parts", ignored)) {
    const auto upload = read_part_name(entry.path().filename().string());
    const uintmax_t bytes = entry.file_size(ignored);
    if (upload && !ignored) count(upload->second, static_cast<int64_t>(bytes));
  }
}

void ArtifactStore::count(const IdBytes& uploader, int64_t bytes) {
  std::lock_guard lock(unfinished_mutex_);
  if ((unfinished_[uploader] += bytes) == 0) unfinished_.erase(uploader);
}

int64_t ArtifactStore::unfinished_bytes(const IdBytes& uploader) const {
  std::lock_guard lock(unfinished_mutex_);
  const auto found = unfinished_.find(uploader);
  return found == unfinished_.end() ? 0 : found->second;
}

std::filesystem::path ArtifactStore::path_of(const Sha256& sha256) const {
  const std::string text = sha256.text();
  return directory_ / text.substr(0, 2) / text;
}

std::filesystem::path ArtifactStore::part_path(const UploadKey& upload) const {
  return directory_ / "parts" / (upload.first.text() + "." + to_hex(upload.second));
}

std::optional<int64_t> ArtifactStore::size(const Sha256& sha256) const {
  struct stat info {};
  if (stat(path_of(sha256).c_str(), &info) != 0) return std::nullopt;
  return info.st_size;
}

int64_t ArtifactStore::upload_offset(const Sha256& sha256, const IdBytes& uploader) const {
  struct stat info {};
  return stat(part_path({sha256, uploader}).c_str(), &info) == 0 ? info.st_size : 0;
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

Result<void> ArtifactStore::publish(const UploadKey& upload, int64_t bytes) {
  const std::filesystem::path path = path_of(upload.first);
  BCAI_TRY(make_directories(path.parent_path(), 0700));
  if (rename(part_path(upload).c_str(), path.c_str()) != 0) {
    return errno_error(errno, "rename to " + path.string());
  }
  count(upload.second, -bytes);
  BCAI_TRY(sync_directory(path.parent_path()));
  return sync_directory(directory_);
}

void ArtifactStore::drop_part(const UploadKey& upload, int64_t bytes) {
  if (unlink(part_path(upload).c_str()) == 0) count(upload.second, -bytes);
}

void ArtifactStore::remove_parts(Millis untouched) {
  std::error_code ignored;
  const auto oldest = std::filesystem::file_time_type::clock::now() - untouched;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "parts", ignored)) {
    const auto upload = read_part_name(entry.path().filename().string());
    if (!upload) continue;
    Stripe& stripe = stripe_of(upload->first);
    std::lock_guard lock(stripe.mutex);
    struct stat info {};
    if (stat(entry.path().c_str(), &info) != 0 || entry.last_write_time(ignored) > oldest) continue;
    stripe.uploads.erase(*upload);
    drop_part(*upload, info.st_size);
  }
}

Result<void> ArtifactStore::remove(const Sha256& sha256) {
  const std::filesystem::path path = path_of(sha256);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return errno_error(errno, "remove " + path.string());
}

Result<ArtifactPut> ArtifactStore::put(const ArtifactPart& part) {
  const auto bytes = static_cast<int64_t>(part.data.size());
  if (part.total < 0 || part.offset < 0 || part.offset > part.total ||
      bytes > part.total - part.offset) {
    return error(ErrorCode::kInvalidArgument, "a part of {} bytes at {} lies outside of {} bytes",
                 bytes, part.offset, part.total);
  }
  const UploadKey key{part.sha256, part.uploader};
  const std::filesystem::path path = part_path(key);
  Stripe& stripe = stripe_of(part.sha256);
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
    if (ftruncate(fd.get(), state.offset) != 0) drop_part(key, state.offset);
    return Error{wrote.error().code, path.string() + ": " + wrote.error().message};
  }
  state.digest.update(part.data);
  state.offset += bytes;
  count(key.second, bytes);
  if (state.offset < part.total) {
    const int64_t offset = state.offset;
    stripe.uploads.emplace(key, std::move(state));
    return ArtifactPut{ArtifactPut::State::kPart, offset};
  }
  const Sha256 found = state.digest.finish();
  if (found != part.sha256) {
    drop_part(key, part.total);
    return error(ErrorCode::kInvalidArgument, "the bytes have the digest {}, expected {}",
                 found.text(), part.sha256.text());
  }
  if (fdatasync(fd.get()) != 0) return errno_error(errno, "sync " + path.string());
  BCAI_TRY(publish(key, part.total));
  return ArtifactPut{ArtifactPut::State::kStored, part.total};
}

}  // namespace bcai::coordinator
