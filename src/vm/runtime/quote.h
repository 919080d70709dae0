// SPDX-License-Identifier: Apache-2.0
// What a run of a bound program costs, before it runs and without its weights.
#pragma once

#include "vm/runtime/executable.h"
#include "vm/runtime/machine.h"
#include "vm/verify/cost.h"

namespace bcai::vm {

struct Quote {
  Cost cost;  // the same on every machine
  Footprint memory;
  Estimate time;
};

// The memory of a run, counted without packing a weight.
Result<Footprint> footprint_of(const BoundProgram& program, SimdLevel level, int threads);

// Of a run on this machine with `machine`'s SIMD level and threads.
Result<Quote> quote(const BoundProgram& program, const MachineProfile& machine);

// The plan of such a run: launches with their backends and estimated times, buffers, lifetimes.
Result<std::string> explain(const BoundProgram& program, const MachineProfile& machine);

}  // namespace bcai::vm
