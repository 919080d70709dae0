// SPDX-License-Identifier: Apache-2.0
// Detached mounts: made by descriptor, attached by the child that becomes runc, in a mount
// namespace of its own (spawn.h). The host's mount table never holds one, and when the last
// descriptor and the last namespace are gone, so is the mount: also after SIGKILL. Needs
// CAP_SYS_ADMIN.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/file.h"
#include "base/result.h"

namespace bcai::sandbox {

struct TmpfsOptions {
  int64_t bytes_max = 0;
  int64_t inodes_max = 0;
  unsigned mode = 0700;
  uint32_t uid = 0;  // and gid
};

// nosuid, nodev, noexec. The descriptor can be walked with openat.
Result<UniqueFd> make_tmpfs(const TmpfsOptions& options);

// Gives a tmpfs another size; what it holds stays.
Result<void> resize_tmpfs(int mount_fd, int64_t bytes_max, int64_t inodes_max);

// The tree at `path`, without what is mounted below it; read-only, nosuid, nodev.
Result<UniqueFd> clone_read_only(const std::filesystem::path& path);

// /dev as a job sees it: null, zero, full, random, urandom, tty, links to /proc/self/fd, and the
// empty directory shm. A file system of its own, so that nothing in it is shared with another job.
// Needs CAP_MKNOD.
Result<UniqueFd> make_devices();

// The tree at `path` as clone_read_only shows it, by an overlay: its files are the same to read and
// to map, and others to lock. `empty`: an empty directory, for an overlay needs two.
Result<UniqueFd> overlay_read_only(const std::filesystem::path& path,
                                   const std::filesystem::path& empty);

// From now on nothing can be written through this mount. A process that another thread is starting
// has a copy of each descriptor until it executes its program, those open for writing among them:
// waits for that, 5 s at most.
Result<void> make_read_only(int mount_fd);

}  // namespace bcai::sandbox
