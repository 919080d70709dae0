// SPDX-License-Identifier: Apache-2.0
// The system calls that no library tries and an attack does (`counted` in seccomp.h): the kernel
// holds each until it has told us, and gives the job the EPERM that we answer. Nothing of the job's
// memory is read: a call is its number. When we go away the kernel answers by itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace bcai::sandbox {

// Whether kernel and libseccomp can (Linux 5.0).
bool can_count_calls();

// How a runtime hands over the descriptor at which the kernel tells of a container's calls:
// linux.seccomp.listenerPath of the OCI runtime specification.
class ListenerSocket {
 public:
  // A socket below this directory, which is ours alone.
  static Result<ListenerSocket> make(const std::filesystem::path& directory);

  // For the runtime, as long as this object lives; short, wherever the directory lies.
  std::string path() const;

  // What the runtime has sent; kUnavailable when it has sent nothing. Does not wait.
  Result<UniqueFd> receive() const;

 private:
  UniqueFd directory_;
  UniqueFd socket_;
};

// One thread.
class DeniedCalls {
 public:
  explicit DeniedCalls(UniqueFd listener) : listener_(std::move(listener)) {}

  int fd() const { return listener_.get(); }  // -1: there is nothing to wait for
  // What poll() said of fd(): refuses and counts the call that waits; ends with the last process.
  void answer(short events);

  const std::map<std::string, int64_t>& counts() const { return counts_; }  // by name
  int64_t total() const { return total_; }

 private:
  UniqueFd listener_;
  std::map<std::string, int64_t> counts_;
  int64_t total_ = 0;
};

}  // namespace bcai::sandbox
