// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <tuple>

namespace bcai::sandbox {
namespace {

Result<void> set(int fs, const char* key, const std::string& value) {
  if (fsconfig(fs, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  return errno_error(errno, fmt::format("mount option {}={}", key, value));
}

// fsmount of what has been configured.
Result<UniqueFd> create(int fs, unsigned attributes, const char* what) {
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno_error(errno, fmt::format("make {}", what));
  }
  UniqueFd mount(fsmount(fs, FSMOUNT_CLOEXEC, attributes));
  if (!mount) return errno_error(errno, fmt::format("mount {}", what));
  return mount;
}

constexpr int kBusyTries = 5000;  // a millisecond apart

std::string octal(unsigned mode) { return fmt::format("{:o}", mode); }

}  // namespace

Result<UniqueFd> make_tmpfs(const TmpfsOptions& options) {
  UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!fs) return errno_error(errno, "open a tmpfs");
  BCAI_TRY(set(fs.get(), "size", std::to_string(options.bytes_max)));
  BCAI_TRY(set(fs.get(), "nr_inodes", std::to_string(options.inodes_max)));
  BCAI_TRY(set(fs.get(), "mode", octal(options.mode)));
  BCAI_TRY(set(fs.get(), "uid", std::to_string(options.uid)));
  BCAI_TRY(set(fs.get(), "gid", std::to_string(options.uid)));
  return create(fs.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, "a tmpfs");
}

Result<void> resize_tmpfs(int mount_fd, int64_t bytes_max, int64_t inodes_max) {
  const UniqueFd fs(fspick(mount_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
  if (!fs) return errno_error(errno, "pick a tmpfs");
  BCAI_TRY(set(fs.get(), "size", std::to_string(bytes_max)));
  BCAI_TRY(set(fs.get(), "nr_inodes", std::to_string(inodes_max)));
  if (fsconfig(fs.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) == 0) return {};
  return errno_error(errno, "resize a tmpfs");
}

Result<UniqueFd> make_devices() {
  UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!fs) return errno_error(errno, "open a tmpfs");
  BCAI_TRY(set(fs.get(), "size", "65536"));
  BCAI_TRY(set(fs.get(), "nr_inodes", "32"));
  BCAI_TRY(set(fs.get(), "mode", "755"));
  BCAI_TRY_ASSIGN(UniqueFd dev, create(fs.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "/dev"));
  const std::tuple<const char*, unsigned, unsigned> nodes[] = {{"null", 1, 3},    {"zero", 1, 5},
                                                               {"full", 1, 7},    {"random", 1, 8},
                                                               {"urandom", 1, 9}, {"tty", 5, 0}};
  for (const auto& [name, major, minor] : nodes) {
    if (mknodat(dev.get(), name, S_IFCHR | 0666, makedev(major, minor)) != 0 ||
        fchmodat(dev.get(), name, 0666, 0) != 0) {
      return errno_error(errno, fmt::format("make the device /dev/{}", name));
    }
  }
  const std::pair<const char*, const char*> links[] = {{"fd", "/proc/self/fd"},
                                                       {"ptmx", "pts/ptmx"},
                                                       {"stdin", "/proc/self/fd/0"},
                                                       {"stdout", "/proc/self/fd/1"},
                                                       {"stderr", "/proc/self/fd/2"}};
  for (const auto& [name, target] : links) {
    if (symlinkat(target, dev.get(), name) != 0) return errno_error(errno, "link in /dev");
  }
  if (mkdirat(dev.get(), "shm", 0755) != 0) return errno_error(errno, "make /dev/shm");
  return dev;
}

Result<UniqueFd> overlay_read_only(const std::filesystem::path& path,
                                   const std::filesystem::path& empty) {
  UniqueFd fs(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!fs) return errno_error(errno, "open an overlay");
  std::string lower;
  for (const char c : path.string()) {
    if (c == ':' || c == '\\') lower.push_back('\\');
    lower.push_back(c);
  }
  BCAI_TRY(set(fs.get(), "lowerdir", lower + ":" + empty.string()));
  return create(fs.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "an overlay");
}

Result<UniqueFd> clone_read_only(const std::filesystem::path& path) {
  UniqueFd tree(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return errno_error(errno, "clone the mount of " + path.string());
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return errno_error(errno, "make the mount of " + path.string() + " read-only");
  }
  return tree;
}

Result<void> make_read_only(int mount_fd) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  for (int tries = 0;
       mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0; ++tries) {
    if (errno != EBUSY || tries == kBusyTries) return errno_error(errno, "make a mount read-only");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

}  // namespace bcai::sandbox
