// SPDX-License-Identifier: Apache-2.0
// What a process that keeps state holds: the lock of its directory, and a unix socket for itself.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/result.h"

namespace bcai::cli {

// Held until it is destroyed, or its process ends however it ends.
class DirectoryLock {
 public:
  // Makes the directory. kAlreadyExists: another process holds it.
  static Result<DirectoryLock> take(const std::filesystem::path& directory);
  DirectoryLock() = default;

 private:
  UniqueFd fd_;
};

// A path for a unix socket: in the directory, or, where that is too long for one, in a directory of
// its own that is removed with this object.
class PrivateSocket {
 public:
  static Result<PrivateSocket> make(const std::filesystem::path& directory);
  PrivateSocket() = default;
  ~PrivateSocket();
  PrivateSocket(PrivateSocket&& other) noexcept
      : path_(std::move(other.path_)), own_directory_(std::exchange(other.own_directory_, {})) {}
  PrivateSocket& operator=(PrivateSocket&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(own_directory_, other.own_directory_);
    return *this;
  }
  std::string listen() const { return "unix:" + path_.string(); }

 private:
  std::filesystem::path path_;
  std::filesystem::path own_directory_;
};

}  // namespace bcai::cli
