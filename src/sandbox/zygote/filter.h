// SPDX-License-Identifier: Apache-2.0
// The table of system calls (seccomp.h) as the program that the kernel runs, for processes that no
// runc starts.
#pragma once

#include "base/file.h"
#include "base/result.h"

namespace bcai::sandbox {

// A file in memory that holds it, as an array of sock_filter. `counting`: as in seccomp.h.
Result<UniqueFd> make_filter(bool counting);

}  // namespace bcai::sandbox
