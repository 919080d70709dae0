// SPDX-License-Identifier: Apache-2.0
// Descriptors that name a process for good. Not <sys/pidfd.h>: that of glibc 2.36 cannot be used
// from C++ (its functions are not extern "C").
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace bcai::sandbox {

// -1 and errno when there is no such process. A process that ended and was not reaped counts.
inline int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

inline bool send_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

}  // namespace bcai::sandbox
