// SPDX-License-Identifier: Apache-2.0
// The sandbox's self-test, remembered: it takes seconds, and what it shows changes only with the
// machine's boot, the kernel, the runtime, the interpreter or this program.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "protocol/node.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

struct SelfTestOptions {
  std::filesystem::path file;             // where it is remembered
  bool afresh = false;                    // run it whatever is remembered
  const Capabilities* machine = nullptr;  // what it depends on
};

// A remembered test counts only when every line of it held.
std::vector<SelfTestLine> self_test(const SelfTestOptions& options,
                                    const std::function<std::vector<sandbox::SelfTestLine>()>& run);

}  // namespace bcai::node
