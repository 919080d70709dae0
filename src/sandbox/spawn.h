// SPDX-License-Identifier: Apache-2.0
// Starts a program. The child shares our memory until it executes (vfork), so a large node pays
// nothing for it; everything between is a system call. With attachments the child first takes a
// mount namespace of its own and attaches them there.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace bcai::sandbox {

struct Attachment {
  int mount_fd = -1;   // a detached mount
  std::string target;  // absolute; may lie in an earlier attachment
};

struct SpawnOptions {
  // [0] without a '/' is looked for in the system's directories, never in PATH: we may be root.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  int stdin_fd = -1;  // -1: /dev/null, of each of the three
  int stdout_fd = -1;
  int stderr_fd = -1;
  int third_fd = -1;  // becomes descriptor 3
  std::vector<Attachment> attachments;
  std::vector<std::string> cgroup_procs;  // files of the groups to start in; none: ours
  // With attachments: it is process 1 of a pid namespace of its own, with a /proc that shows that,
  // and nothing that it starts outlives it.
  bool own_pids = false;
  bool dies_with_this_thread = false;
  // The kernel's first victims when the machine runs out of memory. As root, for good: nothing that
  // it starts can lower the score again.
  bool first_oom_victim = false;
};

// Its reading end does not block.
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Result<Pipe> make_pipe();

// A pair of unix sockets of the type, such as SOCK_STREAM; one is for a child.
struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};
Result<SocketPair> make_sockets(int type);

// A child that is ours to wait for.
struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// `environment` and `arguments` are all that the program gets of us.
Result<Child> spawn(const SpawnOptions& options);

struct ExitStatus {
  int code = 0;    // 128 + n when ended by signal n
  int signal = 0;  // 0: it exited
};

// The path of `name`, or where the system keeps a program of that name. kNotFound.
Result<std::string> find_program(const std::string& name);

// Blocks until the child is gone. Reaps it.
Result<ExitStatus> wait_for(const Child& child);

struct Captured {
  ExitStatus status;
  std::string output;  // both streams
};

// Runs to its end, for short programs; killed when it takes longer or writes more than 16 MiB.
Result<Captured> run_captured(SpawnOptions options, Millis timeout);

}  // namespace bcai::sandbox
