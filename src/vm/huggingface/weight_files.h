// SPDX-License-Identifier: Apache-2.0
// The weight files of a model's directory, as they are: model.safetensors, or the files that
// model.safetensors.index.json lists.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vm/weights/store.h"

namespace bcai::vm::huggingface {

inline constexpr size_t kFindingsMax = 50;  // then a model's directory is read no further

// A directory whose files are only those inside it, links followed. The cache of huggingface_hub
// keeps a model's files beside its snapshots: in `models--*/snapshots/*` a link may lead anywhere
// inside `models--*`.
class Directory {
 public:
  static Result<Directory> open(const std::filesystem::path& path);
  bool contains(std::string_view name) const;
  Result<std::filesystem::path> find(std::string_view name) const;
  Result<std::string> read(std::string_view name, int64_t bytes_max) const;

 private:
  std::filesystem::path root_;
  std::filesystem::path below_;  // of root_, where the model lies
};

struct WeightFileHeld {
  std::string name;
  std::shared_ptr<const Weights> weights;
};

class WeightFiles {
 public:
  // Adds the files to the store. An error has a line for each finding.
  static Result<WeightFiles> open(const Directory& directory, WeightStore& store);

  struct Place {
    size_t file = 0;  // of files()
    const TensorView* tensor = nullptr;
  };
  // A null tensor when there is none of that name.
  Place find(std::string_view name) const;
  const std::vector<WeightFileHeld>& files() const { return files_; }

 private:
  Result<void> add(const Directory& directory, const std::string& name, WeightStore& store);
  Result<void> open_index(const Directory& directory, WeightStore& store);

  std::vector<WeightFileHeld> files_;
  std::map<std::string, size_t, std::less<>> places_;  // of tensors, when there is an index
};

}  // namespace bcai::vm::huggingface
