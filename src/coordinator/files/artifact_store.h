// SPDX-License-Identifier: Apache-2.0
// Artifacts by SHA-256: DIRECTORY/<xx>/<sha256>, complete and verified, never changed. An upload in
// parts grows as DIRECTORY/parts/<sha256>.<uploader> and gets its name when its digest is right; so
// nobody can complete, and thereby claim, what another one has begun. Thread-safe; calls block on
// the disk.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/result.h"

namespace bcai::coordinator {

struct ArtifactPart {
  Sha256 sha256;       // of the whole
  IdBytes uploader{};  // a key or a node
  int64_t offset = 0;
  int64_t total = 0;  // bytes of the whole
  std::string_view data;
};

struct ArtifactPut {
  enum class State : uint8_t { kStored, kPart, kWrongOffset };
  State state = State::kPart;
  int64_t offset = 0;  // how much of the upload is kept; of a stored one its size
};

class ArtifactStore {
 public:
  static Result<std::unique_ptr<ArtifactStore>> open(const std::filesystem::path& directory);

  // Adds a part. kStored means that the whole is on disk under its name. kInvalidArgument: the
  // bytes have another digest (the upload is dropped), or the part lies outside of `total`.
  // kResourceExhausted: the disk is full.
  Result<ArtifactPut> put(const ArtifactPart& part);

  // Nothing when it is not there.
  std::optional<int64_t> size(const Sha256& sha256) const;
  std::filesystem::path path_of(const Sha256& sha256) const;
  int64_t upload_offset(const Sha256& sha256, const IdBytes& uploader) const;

  // What is kept of all unfinished uploads of one uploader.
  int64_t unfinished_bytes(const IdBytes& uploader) const;
  // Removes the unfinished uploads whose last part came so long ago.
  void remove_parts(Millis untouched);
  // Removes a whole artifact; that it is not there is no error.
  Result<void> remove(const Sha256& sha256);

 private:
  explicit ArtifactStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  using UploadKey = std::pair<Sha256, IdBytes>;
  struct Upload {
    int64_t offset = 0;
    Sha256Stream digest;
  };
  // One stripe serialises the parts of an upload and keeps the digest of what came so far; after a
  // restart it is computed from the file.
  struct Stripe {
    std::mutex mutex;
    std::map<UploadKey, Upload> uploads;
  };

  Stripe& stripe_of(const Sha256& sha256) { return stripes_[sha256.bytes[0] % stripes_.size()]; }
  std::filesystem::path part_path(const UploadKey& upload) const;
  Result<Upload> resume(const std::filesystem::path& path) const;
  Result<void> publish(const UploadKey& upload, int64_t bytes);
  void drop_part(const UploadKey& upload, int64_t bytes);
  void count_parts();
  void count(const IdBytes& uploader, int64_t bytes);

  std::filesystem::path directory_;
  std::array<Stripe, 16> stripes_;
  mutable std::mutex unfinished_mutex_;  // taken last
  std::map<IdBytes, int64_t> unfinished_;
};

}  // namespace bcai::coordinator
