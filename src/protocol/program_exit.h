// SPDX-License-Identifier: Apache-2.0
// How a job tells that its native program itself failed.
#pragma once

namespace bcai {

// The exit code of `bcai vm run --as-job` when the program itself failed: a trap, or inputs that it
// refuses. It would fail so on any machine. Every other code but 0 tells of the machine.
inline constexpr int kProgramFailedExit = 20;

}  // namespace bcai
