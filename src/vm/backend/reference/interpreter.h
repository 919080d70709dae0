// SPDX-License-Identifier: Apache-2.0
// Runs a bound program on the reference backend, instruction by instruction.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "vm/tensor/tensor.h"
#include "vm/verify/verifier.h"

namespace bcai::vm::reference {

// The tensor of a parameter: `dtype` and shape as the program lists them.
using WeightSource = std::function<Result<Tensor>(const WeightFile& file, const Param& param)>;

// Sees every result of main's own instructions as it comes.
using Observer = std::function<void(ValueId value, const Tensor& tensor)>;

// `inputs` in the order of main's arguments; an input of another type is an error. The results in
// the order of main's result_types; states among them are new tensors, the inputs are unchanged.
// A trap names the instruction.
Result<std::vector<Tensor>> run(const BoundProgram& program, std::span<const Tensor> inputs,
                                const WeightSource& weights, const Observer& observer = {});

}  // namespace bcai::vm::reference
