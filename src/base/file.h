// SPDX-License-Identifier: Apache-2.0
// Files and descriptors. Everything is opened close-on-exec.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace bcai {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// kResourceExhausted when the file holds more than bytes_max.
Result<std::string> read_file(const std::filesystem::path& path,
                              int64_t bytes_max = int64_t{64} << 20);

enum class Durability { kCached, kSynced };

// Replaces the file in one step: a reader sees the old bytes or the new ones. With kSynced the
// bytes and the name are on disk when it returns.
Result<void> write_file(const std::filesystem::path& path, std::string_view data,
                        Durability durability = Durability::kCached, unsigned mode = 0644);

// A name that was made in it, or removed, is on disk when it returns.
Result<void> sync_directory(const std::filesystem::path& path);

Result<void> write_all(int fd, std::string_view data);

// Like mkdir -p. A directory that is made gets `mode`.
Result<void> make_directories(const std::filesystem::path& path, unsigned mode = 0755);

// How many descriptors this process may open at most: the hard limit.
int64_t open_files_max();
// Lets it open so many: the soft limit, 1024 by habit, is raised to the hard one.
void raise_open_files_limit();

}  // namespace bcai
