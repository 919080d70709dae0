// SPDX-License-Identifier: Apache-2.0
// Integers that are known while a model is imported, and the exact arithmetic on them. They may
// depend on the program's symbols, so that what a model computes from shapes stays symbolic.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "vm/isa/type.h"

namespace bcai::vm::onnx {

// Row-major. A bool is 0 or 1.
using Elements = std::vector<Dim>;

inline constexpr size_t kKnownMax = 4096;

// numerator / denominator if it is a dimension exactly, for every value of the symbols.
std::optional<Dim> exact_quotient(const Dim& numerator, const Dim& denominator);

// Whether it holds for all values of the symbols (true), for none (false), or neither.
enum class Order : uint8_t { kEqual, kLess, kLessOrEqual };
std::optional<bool> holds(Order order, const Dim& a, const Dim& b, std::span<const Symbol> symbols);
// Nothing when neither is always the smaller.
std::optional<Dim> smaller(const Dim& a, const Dim& b, std::span<const Symbol> symbols);
std::optional<Dim> larger(const Dim& a, const Dim& b, std::span<const Symbol> symbols);

// The number of elements; INT64_MAX when that overflows or a dimension is negative.
int64_t count_of(const std::vector<int64_t>& dims);
// For each position of `dims`, in order, the multi-index.
void for_each_index(const std::vector<int64_t>& dims,
                    const std::function<void(const std::vector<int64_t>&)>& each);
// The position in a tensor of `dims` that broadcasts to the rank of `index`.
size_t broadcast_position(const std::vector<int64_t>& dims, const std::vector<int64_t>& index);
// numpy's rule; nothing when they do not broadcast.
std::optional<std::vector<int64_t>> broadcast_dims(const std::vector<int64_t>& a,
                                                   const std::vector<int64_t>& b);

}  // namespace bcai::vm::onnx
