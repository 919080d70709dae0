// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mounts.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <string>

namespace bcai::sandbox {
namespace {

Result<void> set(int fs, const char* key, const std::string& value) {
  if (fsconfig(fs, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  return errno_error(errno, fmt::format("tmpfs option {}={}", key, value));
}

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
  if (fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno_error(errno, "make a tmpfs");
  }
  UniqueFd mount(
      fsmount(fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount) return errno_error(errno, "mount a tmpfs");
  return mount;
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
  if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return errno_error(errno, "make a mount read-only");
  }
  return {};
}

}  // namespace bcai::sandbox
