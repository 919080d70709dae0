// SPDX-License-Identifier: Apache-2.0
// A file of the artifact store in memory: nobody changes or shortens those.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/crypto.h"
#include "base/result.h"

namespace bcai::coordinator {

// Where the store has the file of a digest.
using FindFile = std::function<std::filesystem::path(const Sha256& sha256)>;

class MappedFile {
 public:
  // kNotFound when it is not there, kResourceExhausted when it has more than `bytes_max`.
  static Result<MappedFile> open(const std::filesystem::path& path, int64_t bytes_max);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

}  // namespace bcai::coordinator
