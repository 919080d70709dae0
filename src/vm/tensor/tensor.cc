// SPDX-License-Identifier: Apache-2.0
#include "vm/tensor/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bcai::vm {
namespace {

constexpr size_t kAlignment = 64;

int64_t product(const std::vector<int64_t>& dims) {
  Dim elements(1);
  for (const int64_t dim : dims) {
    BCAI_ASSERT(dim >= 0);
    elements = elements * Dim(dim);
  }
  BCAI_ASSERT(elements.valid() && elements.value() <= kElementsMax);
  return elements.value();
}

}  // namespace

Tensor::Tensor(DType dtype, std::vector<int64_t> dims) : Tensor(unwritten(dtype, std::move(dims))) {
  std::memset(data_.get(), 0, static_cast<size_t>(byte_count()));
}

Tensor Tensor::of_type(const Type& type) { return {type.dtype, dims_of(type.shape)}; }

Tensor Tensor::unwritten(DType dtype, std::vector<int64_t> dims) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.dims_ = std::move(dims);
  tensor.elements_ = product(tensor.dims_);
  const auto bytes = static_cast<size_t>(tensor.byte_count());
  const size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  BCAI_ASSERT(memory != nullptr);
  tensor.data_ = {memory, [](std::byte* pointer) { std::free(pointer); }};
  return tensor;
}

Tensor Tensor::copy_of(const Type& type, std::string_view bytes) {
  Tensor tensor = of_type(type);
  BCAI_ASSERT(std::ssize(bytes) == tensor.byte_count());
  std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), tensor.data_.get());
  return tensor;
}

Tensor Tensor::borrow(DType dtype, std::vector<int64_t> dims, std::byte* bytes,
                      std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.dims_ = std::move(dims);
  tensor.elements_ = product(tensor.dims_);
  tensor.data_ = {bytes, [kept = std::move(owner)](std::byte*) {}};
  return tensor;
}

Tensor Tensor::copy() const {
  Tensor other(dtype_, dims_);
  std::copy(bytes().begin(), bytes().end(), other.bytes().begin());
  return other;
}

Tensor Tensor::reshaped(std::vector<int64_t> dims) const {
  BCAI_ASSERT(product(dims) == elements_);
  Tensor other = *this;
  other.dims_ = std::move(dims);
  return other;
}

Type Tensor::type() const {
  Type type{dtype_, {}};
  for (const int64_t dim : dims_) type.shape.push_back(Dim(dim));
  return type;
}

std::vector<Type> types_of(std::span<const Tensor> tensors) {
  std::vector<Type> types;
  for (const Tensor& tensor : tensors) types.push_back(tensor.type());
  return types;
}

std::vector<int64_t> dims_of(const Shape& shape) {
  std::vector<int64_t> dims;
  for (const Dim& dim : shape.dims()) dims.push_back(dim.value());
  return dims;
}

}  // namespace bcai::vm
