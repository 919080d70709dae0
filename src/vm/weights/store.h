// SPDX-License-Identifier: Apache-2.0
// A directory of weight files named by the SHA-256 of their content, and their tensors in memory.
//
// A mapped file that someone truncates kills the process that reads it, and one that someone
// rewrites changes results after they were checked. So a file is copied into the store before it is
// mapped: there the files are read-only and nobody but this class writes. A sealed memfd would
// protect as well, but costs the memory of the whole file in each process and the copy at each
// start; pages of the store's files are shared and can be dropped.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/result.h"
#include "vm/weights/safetensors.h"

namespace bcai::vm {

// One weight file in memory, its content checked against its digest. Immutable; any thread.
class Weights {
 public:
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const Sha256& sha256() const { return sha256_; }
  uint64_t bytes() const { return mapped_.size(); }
  std::string_view content() const { return mapped_; }  // of the whole file
  // Sorted by name. The views are valid as long as this object.
  std::span<const TensorView> tensors() const { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  // nullptr when there is none.
  const TensorView* find(std::string_view name) const;
  // Gives the memory of what was read back to the system, which reads it from the file again.
  void drop_pages() const;

 private:
  friend class WeightStore;
  Weights() = default;

  Sha256 sha256_;
  std::string_view mapped_;
  Safetensors content_;
};

// Any thread. Several processes may share the directory.
class WeightStore {
 public:
  // The directory is made when it is absent, for this user alone.
  static Result<std::unique_ptr<WeightStore>> open(std::filesystem::path directory);

  // Copies the file at `path`, unless the store has its content already. Its name says nothing:
  // what it is, is its digest. kInvalidArgument, with all findings, when it is no weight file. A
  // file that is as it was when it was added before is not read again.
  Result<std::shared_ptr<const Weights>> add(const std::filesystem::path& path);

  // kNotFound when the store has none; kDataLoss when the content is not of that digest any more.
  // Reads the whole file, unless its inode, size, modification and change times are those it had
  // when it was read last; while somebody holds the weights, no more than a look-up.
  Result<std::shared_ptr<const Weights>> load(const Sha256& sha256);

 private:
  explicit WeightStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path path_of(const Sha256& sha256) const { return directory_ / sha256.text(); }
  Result<std::shared_ptr<const Weights>> copy(int source, const std::filesystem::path& path);
  std::shared_ptr<const Weights> held(const Sha256& sha256);
  // The one that others hold already, if there is one.
  std::shared_ptr<const Weights> hold(std::shared_ptr<const Weights> weights);
  static Result<std::shared_ptr<Weights>> map(int fd, const std::filesystem::path& path);

  const std::filesystem::path directory_;
  std::mutex mutex_;
  std::map<Sha256, std::weak_ptr<const Weights>> held_;
};

}  // namespace bcai::vm
