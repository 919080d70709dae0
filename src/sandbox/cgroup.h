// SPDX-License-Identifier: Apache-2.0
// Control groups of v2, v1 and the hybrid of both, as far as this machine lets us have them. runc
// makes a job's groups and puts the job in; here they are read, killed and removed. In the hybrid a
// group of the cgroup2 hierarchy goes with them, for cgroup.kill and cgroup.events alone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sandbox/cgroup_files.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

// CPU time is given out in periods of this length.
inline constexpr int64_t kCpuPeriodUs = 100'000;

// A file of the kernel's; "" where it cannot be read.
std::string text_of(const std::filesystem::path& path);

enum class CgroupMode : uint8_t { kV2, kV1, kHybrid, kNone };
std::string_view name(CgroupMode mode);

// Where groups can be made, and what cannot be limited.
struct CgroupLayout {
  CgroupMode mode = CgroupMode::kNone;
  CgroupMounts mounts;
  std::string base;  // the group, in every hierarchy, that ours are made below
  bool memory = false;
  bool swap = false;  // memory and swap together can be limited
  bool pids = false;
  bool cpu = false;
  std::vector<std::string> lacking;  // a sentence each, with what mends it
};

// From the texts of /proc/self/mountinfo and /proc/self/cgroup and the files below the mounts.
// Changes nothing.
CgroupLayout inspect_cgroups(std::string_view mountinfo, std::string_view own_groups);

// The same of this process; makes the group `parent` and gives it the controllers. Where that is
// refused the mode is kNone and `lacking` says why.
CgroupLayout prepare_cgroups(const std::string& parent);

// From SIGKILL to nobody left.
inline constexpr Millis kKillMax{5'000};

struct Counters {
  int64_t cpu_ms = 0;
  int64_t memory_peak_bytes = 0;
  int64_t processes_peak = 0;
  int64_t oom_kills = 0;
  int64_t processes_refused = 0;  // times that the limit of processes was met
};

// The groups of one job, or of one engine (the sweep). Holds no resource.
class JobGroup {
 public:
  // `path`: below layout.base, as in "/bcai/3f2a/job_1".
  JobGroup(const CgroupLayout& layout, const std::string& path);

  const std::string& runc_path() const { return path_; }  // OCI's cgroupsPath; "" in mode kNone
  // Makes what runc does not.
  Result<void> create() const;
  // Makes everything, without runc: a group that admit() and limit() are for.
  Result<void> create_whole() const;
  Result<void> admit(pid_t pid) const;
  // Memory with swap, processes, share of the CPU; what the layout cannot limit is left.
  Result<void> limit(const Limits& limits) const;
  // The files by which a process joins by writing 0: those that runc starts with, so that it can
  // itself be killed, and all that create_whole() makes.
  std::vector<std::string> runtime_procs_files() const;
  std::vector<std::string> procs_files() const;

  Counters read() const;  // 0 where the kernel does not say
  std::optional<int64_t> cpu_ms() const;

  std::vector<pid_t> processes() const;
  void kill() const;  // SIGKILL to every process, and CPU time enough to die at once
  bool populated() const;
  // Kills until nobody is left; false when somebody still is at the deadline.
  bool kill_until_empty(const Clock& clock, Instant deadline) const;
  void remove() const;                        // the directories; those of an empty group
  std::vector<std::string> children() const;  // names of the groups right below

 private:
  std::filesystem::path file(const char* controller, const char* name) const;
  std::vector<std::filesystem::path> directories() const;
  std::vector<std::filesystem::path> whole() const;  // of them, those with a part in limits or end

  const CgroupLayout* layout_;
  std::string path_;
};

}  // namespace bcai::sandbox
