// SPDX-License-Identifier: Apache-2.0
// A zygote: a Python in a container of runc's that has libraries loaded and forks children, each
// for one task. A child waits in namespaces, a control group and with a user id of its own; it
// becomes the task's process when it is given the task's files, streams and limits. See README.md.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "sandbox/cgroup.h"
#include "sandbox/root.h"
#include "sandbox/runtime.h"
#include "sandbox/slots.h"
#include "sandbox/spawn.h"
#include "sandbox/staging.h"
#include "sandbox/zygote/preload.h"

namespace bcai::sandbox {

// What an engine has that its zygotes need. Outlives them.
struct ZygoteHost {
  std::filesystem::path state;
  Runtime runtime;
  CgroupLayout cgroups;
  std::string group;  // "/bcai/3f2a"
  std::string attach_at;
  Root root;
  UniqueFd filter;  // the program of the system calls' filter; none: children have none
  std::unique_ptr<Slots> slots;
  std::atomic<uint64_t> next_number = 1;  // of zygotes and children, in names
};

class Zygote;

// A process that waits for a task. Single use; not thread-safe.
struct ZygoteChild {
  std::shared_ptr<Zygote> zygote;
  UniqueFd socket;
  UniqueFd pidfd;
  uint32_t uid = 0;  // on this machine
  JobGroup group;    // holds it and nobody else
  UniqueFd calls;    // of one that runs: denied_calls.h; none where the kernel counts none
};

// Ends it and removes its group.
void discard(ZygoteChild child);

class Zygote : public std::enable_shared_from_this<Zygote> {
 public:
  static constexpr uint32_t kChildrenMax = 200;  // then its addresses have been shared enough
  static constexpr Millis kAgeMax{600'000};
  static constexpr Millis kLoadMax{120'000};  // of its libraries
  static constexpr uint32_t kIds = 256;       // its own, that of first.c, one for each child

  // Starts runc and waits until the libraries are loaded: with torch some seconds. `stop` readable
  // ends that. kUnavailable with what was said inside.
  static Result<std::shared_ptr<Zygote>> start(ZygoteHost& host, const ZygoteKey& key, int stop);
  // Kills what is left of it, children too, and removes every trace.
  ~Zygote();

  // A child that waits. Any thread; about 25 ms. kResourceExhausted: it has had kChildrenMax.
  Result<ZygoteChild> fork();

  Instant started() const { return started_; }
  uint32_t forked() const { return forked_; }
  bool alive() const;
  uint32_t landlock() const { return landlock_; }
  pid_t pid() const { return process_.pid; }
  // Keeps its user ids out of use for good.
  void quarantine() { slot_.quarantine(); }

 private:
  Zygote(ZygoteHost& host, const ZygoteKey& key, Slots::Lease slot);
  Result<void> start(int stop);
  Result<Child> run_container(int socket);
  Result<void> wait_until_loaded(int stop);
  Result<void> send_base(int socket);
  Result<std::vector<UniqueFd>> base_mounts(std::vector<std::string>* targets);

  ZygoteHost& host_;
  ZygoteKey key_;
  Slots::Lease slot_;
  std::string id_;
  std::filesystem::path bundle_;
  JobGroup group_;
  UniqueFd socket_;
  Child process_;
  Instant started_;
  uint32_t landlock_ = 0;
  std::atomic<uint32_t> forked_ = 0;
};

struct ChildStreams {
  int out = -1;
  int err = -1;
  int control = -1;
  int secrets = -1;  // none
};

// Gives the child its task; when this returns its code runs. An Error: it does not and never will,
// and the child is of no more use.
Result<void> dispatch(ZygoteChild& child, const Stage& stage, const Limits& limits,
                      const CgroupLayout& cgroups, const ChildStreams& streams);

}  // namespace bcai::sandbox
