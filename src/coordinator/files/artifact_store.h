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
  // Uploads that nobody has touched for a week are removed.
  static Result<std::unique_ptr<ArtifactStore>> open(const std::filesystem::path& directory,
                                                     int64_t bytes_max);

  // Adds a part. kStored means that the whole is on disk under its name. kInvalidArgument: the
  // bytes have another digest (the upload is dropped), or the part lies outside of `total`.
  // kResourceExhausted: larger than bytes_max, or the disk is full.
  Result<ArtifactPut> put(const ArtifactPart& part);

  // Nothing when it is not there.
  std::optional<int64_t> size(const Sha256& sha256) const;
  std::filesystem::path path_of(const Sha256& sha256) const;
  int64_t upload_offset(const Sha256& sha256, const IdBytes& uploader) const;

 private:
  ArtifactStore(std::filesystem::path directory, int64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}

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

  std::filesystem::path part_path(const Sha256& sha256, const IdBytes& uploader) const;
  Result<Upload> resume(const std::filesystem::path& path) const;
  Result<void> publish(const std::filesystem::path& part, const Sha256& sha256) const;

  std::filesystem::path directory_;
  int64_t bytes_max_;
  std::array<Stripe, 16> stripes_;
};

}  // namespace bcai::coordinator
