// SPDX-License-Identifier: Apache-2.0
// From instructions to launches on buffers that have no place yet.
#pragma once

#include "vm/plan/plan.h"

namespace bcai::vm {

// `program` has no calls. Views, states and parameters become operands, not launches. With `fuse`,
// the groups of groups.h become one launch each.
Plan lower(Program program, bool fuse);

}  // namespace bcai::vm
