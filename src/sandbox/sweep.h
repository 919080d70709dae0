// SPDX-License-Identifier: Apache-2.0
// Removes what an engine left that could not end by itself: processes first, then control groups,
// then directories. The state directory's lock is held, so nobody lives there.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "sandbox/cgroup.h"

namespace bcai::sandbox {

// `group`: of the engine, as in "/bcai/3f2a". kFailedPrecondition when a process survives.
Result<void> sweep(const std::filesystem::path& state, const CgroupLayout& cgroups,
                   const std::string& group);

}  // namespace bcai::sandbox
