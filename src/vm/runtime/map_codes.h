// SPDX-License-Identifier: Apache-2.0
// Elementwise instructions in the words of the CPU's elementwise interpreter.
#pragma once

#include <vector>

#include "vm/backend/cpu/map.h"
#include "vm/plan/plan.h"

namespace bcai::vm {

// Of the types that a map may have (vm/compiler/elementwise.cc).
MapType map_type_of(DType dtype);

// The step, with operands in slots `from`.
MapOp map_op_of(const MapStep& step, uint8_t result, const std::vector<uint8_t>& from);

}  // namespace bcai::vm
