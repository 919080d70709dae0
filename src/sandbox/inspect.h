// SPDX-License-Identifier: Apache-2.0
// Puts together what this machine lets a sandbox do.
#pragma once

#include "sandbox/cgroup.h"
#include "sandbox/runtime.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

Host describe_host(const Result<Runtime>& runtime, const CgroupLayout& cgroups);

// The group that everything of the engine's lies below is named after its state directory, so that
// two engines never sweep each other.
std::string group_name(const std::string& parent, const std::filesystem::path& state);

}  // namespace bcai::sandbox
