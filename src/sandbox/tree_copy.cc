// SPDX-License-Identifier: Apache-2.0
#include "sandbox/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "base/file.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

Result<void> copy_bytes(int from, int to, const fs::path& name) {
  for (bool in_kernel = true;;) {
    ssize_t moved = 0;
    if (in_kernel) {
      moved = copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
      if (moved < 0 &&
          (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        in_kernel = false;
        continue;
      }
    } else {
      char buffer[65536];
      moved = read(from, buffer, sizeof buffer);
      if (moved > 0) BCAI_TRY(write_all(to, {buffer, static_cast<size_t>(moved)}));
    }
    if (moved == 0) return {};
    if (moved < 0 && errno != EINTR) return errno_error(errno, "copy " + name.string());
  }
}

// Gives us back the directories below `fd` that the job took our rights to away.
void unlock_directories(int parent, const char* name, int depth) {
  constexpr int kDepthMax = 2000;  // a job's quota of inodes may be one long chain
  UniqueFd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0) {
    fd.reset(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!fd || fchmod(fd.get(), 0700) != 0 || depth > kDepthMax) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
  if (!stream) return;
  const int directory = fd.release();
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view below = entry->d_name;
    if (entry->d_type != DT_DIR || below == "." || below == "..") continue;
    unlock_directories(directory, entry->d_name, depth + 1);
  }
}

}  // namespace

void remove_tree(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (!failed) return;
  unlock_directories(AT_FDCWD, path.c_str(), 0);
  fs::remove_all(path, failed);
}

Result<void> make_open_directory(const fs::path& path) {
  BCAI_TRY(make_directories(path));
  if (chmod(path.c_str(), 0755) != 0) return errno_error(errno, "chmod " + path.string());
  return {};
}

Result<void> copy_plain_file(const fs::path& from, const fs::path& to) {
  UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return errno_error(errno, "open " + from.string());
  struct stat info {};
  if (fstat(source.get(), &info) != 0) return errno_error(errno, "stat " + from.string());
  UniqueFd target(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target) return errno_error(errno, "create " + to.string());
  BCAI_TRY(copy_bytes(source.get(), target.get(), from));
  const timespec times[2] = {info.st_mtim, info.st_mtim};  // Python compares them with its .pyc
  if (futimens(target.get(), times) != 0 ||
      fchmod(target.get(), (info.st_mode & 0100) ? 0555 : 0444) != 0) {
    return errno_error(errno, "set the times and mode of " + to.string());
  }
  return {};
}

Result<void> copy_tree(const fs::path& from, const fs::path& to,
                       const std::function<bool(const fs::path& below)>& wanted) {
  BCAI_TRY(make_open_directory(to));
  std::error_code failed;
  fs::recursive_directory_iterator it(from, failed);
  for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
    const fs::path below = it->path().lexically_relative(from);
    std::error_code broken;
    const fs::file_status status = it->status(broken);
    if (!wanted(below)) {
      it.disable_recursion_pending();
    } else if (fs::is_directory(status)) {
      BCAI_TRY(make_open_directory(to / below));
    } else if (fs::is_regular_file(status)) {
      BCAI_TRY(copy_plain_file(it->path(), to / below));
    }
  }
  if (failed) return errno_error(failed.value(), "walk " + from.string());
  return {};
}

}  // namespace bcai::sandbox
