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
  bool rootless = false;
  uint32_t uid = 0;         // rootless: ours; else the first of the slot's two
  std::vector<Bind> binds;  // rootless: what is otherwise attached before runc looks
};

// The constraints of a task: each message names the field, the value and what is allowed.
Result<void> validate(const Task& task);

json::object make_config(const Task& task, const BundleContext& context);

// What the runner reads at /in/task.json.
std::string make_task_json(const Task& task, std::string_view imports_policy);

}  // namespace bcai::sandbox
