// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/type.h"

#include <algorithm>

#include "base/result.h"

namespace bcai::vm {

Shape::Shape(std::span<const Dim> dims) : rank_(dims.size()) {
  BCAI_ASSERT(rank_ <= kRankMax);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

void Shape::push_back(Dim dim) {
  BCAI_ASSERT(rank_ < kRankMax);
  dims_[rank_++] = std::move(dim);
}

bool Shape::is_constant() const {
  return std::all_of(dims().begin(), dims().end(),
                     [](const Dim& dim) { return dim.is_constant(); });
}

Dim Shape::elements(size_t first, size_t last) const {
  Dim product(1);
  for (size_t axis = first; axis < last; ++axis) product = product * dims_[axis];
  return product;
}

Shape Shape::bind(std::span<const int64_t> values) const {
  Shape bound = *this;
  for (size_t axis = 0; axis < rank_; ++axis) bound.dims_[axis] = dims_[axis].bind(values);
  return bound;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(dims().begin(), dims().end(), other.dims().begin(), other.dims().end());
}

std::string to_text(const Shape& shape, std::span<const Symbol> symbols) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ",";
    text += to_text(shape[axis], symbols);
  }
  return text + "]";
}

std::string to_text(const Type& type, std::span<const Symbol> symbols) {
  const std::string tensor = std::string(dtype_name(type.dtype)) + to_text(type.shape, symbols);
  return type.is_state ? "state<" + tensor + ">" : tensor;
}

}  // namespace bcai::vm
