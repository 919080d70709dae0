// SPDX-License-Identifier: Apache-2.0
// Where Resize takes its samples, in binary64, every operation rounded once. Other backends call
// this too: it is compiled without contraction, as they need not be.
#pragma once

#include <cstdint>

#include "vm/isa/choices.h"

namespace bcai::vm::reference {

// Of result i of an axis, among `in` samples for `out` results; may lie outside them.
double sample_position(Coordinates coordinates, int64_t i, int64_t in, int64_t out);
// The sample nearest to a position.
double nearest_sample(Nearest rounding, double position);

}  // namespace bcai::vm::reference
