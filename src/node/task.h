// SPDX-License-Identifier: Apache-2.0
// From a lease to what the sandbox is told.
#pragma once

#include <filesystem>
#include <vector>

#include "protocol/node.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

// `sources` are the input files' places on this machine, in the order of the specification.
sandbox::Task make_task(const Lease& lease, const std::vector<std::filesystem::path>& sources);

}  // namespace bcai::node
