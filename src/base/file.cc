// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bcai {
void UniqueFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Result<std::string> read_file(const std::filesystem::path& path, int64_t bytes_max) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  std::string data;
  char buffer[16384];
  for (;;) {
    const ssize_t got = read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path.string());
    if (got == 0) return data;
    data.append(buffer, static_cast<size_t>(got));
    if (static_cast<int64_t>(data.size()) > bytes_max) {
      return error(ErrorCode::kResourceExhausted, "{} is larger than {} bytes", path.string(),
                   bytes_max);
    }
  }
}

Result<void> sync_directory(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return errno_error(errno, "sync " + path.string());
  return {};
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t put = write(fd, data.data(), data.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_error(errno, "write");
    data.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Result<void> write_file(const std::filesystem::path& path, std::string_view data,
                        Durability durability, unsigned mode) {
  std::string temporary = path.string() + ".XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return errno_error(errno, "create " + temporary);
  const auto fail = [&](Error error) {
    unlink(temporary.c_str());
    return error;
  };
  if (auto wrote = write_all(fd.get(), data); !wrote) {
    return fail({wrote.error().code, path.string() + ": " + wrote.error().message});
  }
  if (fchmod(fd.get(), mode) != 0) return fail(errno_error(errno, "chmod " + temporary));
  if (durability == Durability::kSynced && fsync(fd.get()) != 0) {
    return fail(errno_error(errno, "sync " + temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return fail(errno_error(errno, "rename to " + path.string()));
  }
  if (durability == Durability::kSynced) return sync_directory(path.parent_path());
  return {};
}

Result<void> make_directories(const std::filesystem::path& path, unsigned mode) {
  if (mkdir(path.c_str(), mode) == 0) return {};
  if (errno == ENOENT && path.has_parent_path() && path != path.parent_path()) {
    BCAI_TRY(make_directories(path.parent_path(), mode));
    if (mkdir(path.c_str(), mode) == 0) return {};
  }
  if (errno == EEXIST) {
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    errno = ENOTDIR;
  }
  return errno_error(errno, "make directory " + path.string());
}

int64_t open_files_max() {
  rlimit limit{};
  BCAI_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  return static_cast<int64_t>(std::min<rlim_t>(limit.rlim_max, INT64_MAX));
}

void raise_open_files_limit() {
  rlimit limit{};
  BCAI_ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  BCAI_ASSERT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

}  // namespace bcai
