// SPDX-License-Identifier: Apache-2.0
// What a value is: a dense tensor in row-major order, or a state handle that stands for one.
// Strides and layouts belong to plans and never appear here.
#pragma once

#include <array>
#include <initializer_list>
#include <span>
#include <string>

#include "vm/isa/dim.h"
#include "vm/isa/dtype.h"

namespace bcai::vm {

inline constexpr size_t kRankMax = 8;

// Rule V7.
inline constexpr int64_t kDimMax = (int64_t{1} << 31) - 1;
inline constexpr int64_t kElementsMax = int64_t{1} << 38;
inline constexpr int64_t kTensorBytesMax = int64_t{1} << 40;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Dim> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  // At most kRankMax.
  explicit Shape(std::span<const Dim> dims);

  size_t rank() const { return rank_; }
  const Dim& operator[](size_t axis) const { return dims_[axis]; }
  Dim& operator[](size_t axis) { return dims_[axis]; }
  std::span<const Dim> dims() const { return {dims_.data(), rank_}; }
  void push_back(Dim dim);  // below kRankMax
  bool is_constant() const;
  // The number of elements of dims [first, last); 1 for none.
  Dim elements(size_t first, size_t last) const;
  Dim elements() const { return elements(0, rank_); }
  Shape bind(std::span<const int64_t> values) const;
  bool operator==(const Shape& other) const;

 private:
  std::array<Dim, kRankMax> dims_;
  size_t rank_ = 0;
};

struct Type {
  DType dtype = DType::kF32;
  Shape shape;
  bool is_state = false;

  Dim bytes() const { return shape.elements() * Dim(dtype_bytes(dtype)); }
  Type bind(std::span<const int64_t> values) const { return {dtype, shape.bind(values), is_state}; }
  bool operator==(const Type&) const = default;
};

// "f32[B,128]", "state<f32[1,64]>", "i32[]".
std::string to_text(const Type& type, std::span<const Symbol> symbols);
std::string to_text(const Shape& shape, std::span<const Symbol> symbols);

}  // namespace bcai::vm
