// SPDX-License-Identifier: Apache-2.0
// Computes a node's result while importing, when its operands are known.
#pragma once

#include <functional>

#include "vm/onnx/site.h"

namespace bcai::vm::onnx {

// One element of each operand; nothing when the result cannot be told.
using FoldIntegers = std::function<std::optional<Dim>(const std::vector<Dim>&)>;
using FoldFloats = std::function<float(const std::vector<float>&)>;

// Element by element, with numpy's broadcasting, over all operands. True when it set result 0.
bool fold(Site& site, DType result, const FoldIntegers& body);
// The same for f32 constants of few elements; `body` must round as the instruction does.
bool fold_floats(Site& site, const FoldFloats& body);

// Sets result 0 to elements picked out of operand `from`, if that is known: `source` gives the
// position in it for each position of the result.
bool fold_pick(Site& site, size_t from, const std::vector<int64_t>& dims,
               const std::function<size_t(const std::vector<int64_t>&)>& source);

// Whether every value of `dim` can be told to fit the dtype.
bool fits(DType dtype, const Dim& dim, std::span<const Symbol> symbols);

}  // namespace bcai::vm::onnx
