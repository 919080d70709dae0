// SPDX-License-Identifier: Apache-2.0
// The program `bcai`: reads its arguments and hands them to a subcommand.
#pragma once

#include <string>
#include <vector>

namespace bcai::cli {

// Returns the exit code. Call it once, from main().
int run_program(const std::vector<std::string>& words);

}  // namespace bcai::cli
