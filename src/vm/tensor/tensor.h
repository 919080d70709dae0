// SPDX-License-Identifier: Apache-2.0
// A dense tensor in this process's memory: row-major, little-endian, 64-byte aligned.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vm/isa/type.h"

namespace bcai::vm {

// Copies share their bytes; who writes through `bytes()` of a shared tensor changes all copies.
class Tensor {
 public:
  Tensor() = default;  // f32[], 0
  // Zeroed. The dimensions' product must fit the limits of type.h.
  Tensor(DType dtype, std::vector<int64_t> dims);
  static Tensor of_type(const Type& type);  // constant dimensions
  // Not zeroed: for who writes every byte.
  static Tensor unwritten(DType dtype, std::vector<int64_t> dims);
  // `bytes` must be as many as the type has.
  static Tensor copy_of(const Type& type, std::string_view bytes);
  // Bytes someone else owns, kept alive by `owner`. They must be aligned for the dtype.
  static Tensor borrow(DType dtype, std::vector<int64_t> dims, std::byte* bytes,
                       std::shared_ptr<const void> owner);

  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& dims() const { return dims_; }
  size_t rank() const { return dims_.size(); }
  int64_t elements() const { return elements_; }
  int64_t byte_count() const { return elements_ * dtype_bytes(dtype_); }
  std::span<std::byte> bytes() { return {data_.get(), static_cast<size_t>(byte_count())}; }
  std::span<const std::byte> bytes() const {
    return {data_.get(), static_cast<size_t>(byte_count())};
  }
  // The same, as files and hashes take them.
  std::string_view byte_view() const {
    return {reinterpret_cast<const char*>(data_.get()), static_cast<size_t>(byte_count())};
  }
  // T must be the dtype's C++ type; bool is uint8_t.
  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  Tensor copy() const;
  // The same bytes under another shape of as many elements.
  Tensor reshaped(std::vector<int64_t> dims) const;
  Type type() const;

 private:
  DType dtype_ = DType::kF32;
  std::vector<int64_t> dims_;
  int64_t elements_ = 0;
  std::shared_ptr<std::byte> data_;
};

std::vector<int64_t> dims_of(const Shape& shape);  // constant dimensions
std::vector<Type> types_of(std::span<const Tensor> tensors);

// NumPy's .npy format, versions 1.0 to 3.0: little-endian f4, f2, i8, i4, i1, u1 and b1 in C order.
// What else there is, is refused. bf16 has no name in it and cannot be written.
Result<Tensor> parse_npy(std::string_view file);
// What the first bytes of a file say, at most kNpyHeaderBytesMax of them.
struct NpyHeader {
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;
  int64_t header_bytes = 0;   // where the elements begin
  int64_t element_bytes = 0;  // how many bytes they must be
};
inline constexpr size_t kNpyHeaderBytesMax = (size_t{64} << 10) + 12;
Result<NpyHeader> parse_npy_header(std::string_view start);
Result<std::string> format_npy(const Tensor& tensor);

}  // namespace bcai::vm
