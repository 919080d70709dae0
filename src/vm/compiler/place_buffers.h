// SPDX-License-Identifier: Apache-2.0
// Numbers the launches' steps, finds the buffers' lifetimes and places those of the arena.
#pragma once

#include "base/result.h"
#include "vm/plan/plan.h"

namespace bcai::vm {

// kInternal when the plan does not pass check_memory.
Result<void> place_buffers(Plan& plan);

}  // namespace bcai::vm
