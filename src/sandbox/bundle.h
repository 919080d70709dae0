// SPDX-License-Identifier: Apache-2.0
// From a task to the OCI configuration that runc reads: the policy as data. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

// The job's user inside. Its files look like root's to nobody.
inline constexpr uint32_t kJobUid = 1000;

inline constexpr const char* kOverlay = "/opt/environment";
inline constexpr const char* kProxyDirectory = "/opt/proxy";

struct Bind {
  std::string source;       // on the host
  std::string destination;  // inside
  bool writable = false;    // then nothing in it can be executed
};

// What of the configuration is not the task's.
struct BundleContext {
  std::string root;         // where the root is attached when runc looks
  std::string cgroup_path;  // "" when there are no groups
  const CgroupLayout* cgroups = nullptr;
  const json::object* seccomp = nullptr;  // null: none
  std::string seccomp_listener;           // denied_calls.h; "": the profile counts nothing
  bool rootless = false;
  uint32_t uid = 0;         // rootless: ours; else the first of the slot's two
  std::vector<Bind> binds;  // rootless: what is otherwise attached before runc looks
};

struct ResourceLimit {
  const char* name;  // "RLIMIT_CORE"
  int resource;
  int64_t value;  // hard and soft
};
std::vector<ResourceLimit> resource_limits(const Limits& limits, const CgroupLayout* cgroups);

// Of /tmp, and of /dev/shm.
int64_t scratch_bytes_max(const Limits& limits);

// What libraries are told to use.
int64_t threads_of(const Limits& limits);

// All that the task finds; a later entry of the same name counts.
std::vector<std::pair<std::string, std::string>> environment_of(const Task& task);

// The constraints of a task: each message names the field, the value and what is allowed.
Result<void> validate(const Task& task);

json::object make_config(const Task& task, const BundleContext& context);

// Of a zygote and all its children that wait.
Limits zygote_limits();

// Of a zygote: `arguments` as root of a user namespace of `users` ids from context.uid on, with the
// capabilities to make namespaces for its children and to drop to their ids.
json::object make_zygote_config(const std::vector<std::string>& arguments, int64_t threads,
                                const BundleContext& context, uint32_t users);

// The task's secrets as the runner reads them, NAME NUL VALUE NUL and so on. To be wiped.
std::string secrets_text(const Task& task);

// What the runner reads at /in/task.json.
std::string make_task_json(const Task& task);

}  // namespace bcai::sandbox
