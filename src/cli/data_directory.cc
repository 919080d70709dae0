// SPDX-License-Identifier: Apache-2.0
#include "cli/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdlib>

namespace bcai::cli {
namespace {

// sockaddr_un has room for 107 bytes.
constexpr size_t kSocketPathMax = 100;

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::filesystem::path& directory) {
  // The sandbox's users must be able to walk through.
  BCAI_TRY(make_directories(directory, 0755));
  const std::filesystem::path path = directory / "lock";
  DirectoryLock lock;
  lock.fd_.reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.fd_) return errno_error(errno, fmt::format("open {}", path.string()));
  if (flock(lock.fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, fmt::format("lock {}", path.string()));
    return error(ErrorCode::kAlreadyExists, "{} is in use by another bcai process",
                 directory.string());
  }
  return lock;
}

Result<PrivateSocket> PrivateSocket::make(const std::filesystem::path& directory) {
  PrivateSocket socket;
  socket.path_ = directory / "socket";
  if (socket.path_.string().size() <= kSocketPathMax) return socket;
  char pattern[] = "/tmp/bcai-XXXXXX";
  if (mkdtemp(pattern) == nullptr) return errno_error(errno, "make a directory in /tmp");
  socket.own_directory_ = pattern;
  socket.path_ = socket.own_directory_ / "socket";
  return socket;
}

PrivateSocket::~PrivateSocket() {
  if (own_directory_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(own_directory_, ignored);
}

}  // namespace bcai::cli
