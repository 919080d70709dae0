// SPDX-License-Identifier: Apache-2.0
// Instructions that only give bytes another type.
#pragma once

#include <optional>
#include <vector>

#include "vm/program/program.h"

namespace bcai::vm {

// Where in its first operand each result lies, in bytes; nothing if a byte must move.
std::optional<std::vector<int64_t>> view_offsets(const Function& function,
                                                 const Instruction& instruction);

}  // namespace bcai::vm
