// SPDX-License-Identifier: Apache-2.0
#include "vm/python/buffer.h"

#include <fmt/ranges.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "vm/python/raise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace bcai::vm::python {
namespace {

using nb::dlpack::dtype_code;

struct DLPackName {
  DType dtype;
  dtype_code code;
  uint8_t bits;
};
constexpr std::array kNames = {DLPackName{DType::kF32, dtype_code::Float, 32},
                               DLPackName{DType::kF16, dtype_code::Float, 16},
                               DLPackName{DType::kBF16, dtype_code::Bfloat, 16},
                               DLPackName{DType::kI64, dtype_code::Int, 64},
                               DLPackName{DType::kI32, dtype_code::Int, 32},
                               DLPackName{DType::kI8, dtype_code::Int, 8},
                               DLPackName{DType::kU8, dtype_code::UInt, 8},
                               DLPackName{DType::kBool, dtype_code::Bool, 8}};

nb::dlpack::dtype dlpack_of(DType dtype) {
  for (const DLPackName& name : kNames) {
    if (name.dtype == dtype) return {static_cast<uint8_t>(name.code), name.bits, 1};
  }
  BCAI_ASSERT(false);
}

std::optional<DType> dtype_in(nb::dlpack::dtype dtype) {
  for (const DLPackName& name : kNames) {
    if (nb::dlpack::dtype{static_cast<uint8_t>(name.code), name.bits, 1} == dtype) {
      return name.dtype;
    }
  }
  return std::nullopt;
}

using Array = nb::ndarray<nb::ro>;

bool is_dense(const Array& array) {
  int64_t expected = 1;
  for (size_t axis = array.ndim(); axis-- > 0;) {
    const auto size = static_cast<int64_t>(array.shape(axis));
    if (size == 0) return true;
    if (size != 1 && array.stride(axis) != expected) return false;
    expected *= size;
  }
  return true;
}

// The elements from `axis` on, in row-major order. Returns where the next one goes.
std::byte* gather(const Array& array, size_t axis, const std::byte* from, size_t item,
                  std::byte* to) {
  if (axis == array.ndim()) {
    std::memcpy(to, from, item);
    return to + item;
  }
  const int64_t step = array.stride(axis) * static_cast<int64_t>(item);
  for (size_t i = 0; i < array.shape(axis); ++i) {
    to = gather(array, axis + 1, from + static_cast<int64_t>(i) * step, item, to);
  }
  return to;
}

// The array lives until the last copy of the tensor is gone, on whatever thread that is.
std::shared_ptr<const void> keep(Array array) {
  return {new Array(std::move(array)), [](const Array* kept) {
            const nb::gil_scoped_acquire lock;
            delete kept;
          }};
}

// What is asked for by a short expression must not end the process.
Tensor allocate(DType dtype, std::vector<int64_t> dims) {
  int64_t bytes = dtype_bytes(dtype);
  for (const int64_t dim : dims) bytes *= dim;
  const int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  if (bytes > memory) {
    raise(error(ErrorCode::kResourceExhausted, "a tensor of {} bytes; this machine has {}", bytes,
                memory));
  }
  return {dtype, std::move(dims)};
}

// A memoryview has strides, which other buffers may leave out and nanobind reads.
nb::object with_strides(nb::handle object) {
  if (nb::hasattr(object, "__dlpack__") || PyObject_CheckBuffer(object.ptr()) == 0) {
    return nb::borrow(object);
  }
  nb::object view = nb::steal(PyMemoryView_FromObject(object.ptr()));
  if (!view.is_valid()) nb::raise_python_error();
  return view;
}

Buffer buffer_of(nb::handle given, bool copy) {
  const nb::object object = with_strides(given);
  // A writable view first: what only gives a read-only one refuses it.
  nb::ndarray<> writable;
  Array array;
  const bool is_writable = nb::try_cast(object, writable, false);
  if (is_writable) {
    array = Array(writable);
  } else if (!nb::try_cast(object, array, false)) {
    nb::raise_type_error("not an array: neither DLPack nor a buffer of a known format");
  }
  if (array.device_type() != nb::device::cpu::value) {
    raise_invalid(
        "the array is on another device (DLPack type {}): copy it to the processor's "
        "memory first",
        array.device_type());
  }
  const std::optional<DType> dtype = dtype_in(array.dtype());
  if (!dtype) {
    constexpr std::array<std::string_view, 7> kCodes = {"int",    "uint",    "float", "handle",
                                                        "bfloat", "complex", "bool"};
    const uint8_t code = array.dtype().code;
    raise_invalid(
        "the array is {}{}, expected float32, float16, bfloat16, int64, int32, int8, "
        "uint8 or bool: cast it first",
        code < kCodes.size() ? kCodes[code] : "another kind of", array.dtype().bits);
  }
  std::vector<int64_t> dims;
  for (size_t axis = 0; axis < array.ndim(); ++axis) {
    dims.push_back(static_cast<int64_t>(array.shape(axis)));
  }
  check_shape(*dtype, dims);
  const auto item = static_cast<size_t>(dtype_bytes(*dtype));
  auto* data = static_cast<std::byte*>(const_cast<void*>(array.data()));
  const bool aligned = reinterpret_cast<uintptr_t>(data) % item == 0;
  Buffer buffer;
  if (!copy && aligned && is_dense(array)) {
    buffer = {Tensor::borrow(*dtype, std::move(dims), data, keep(std::move(array))), !is_writable};
  } else {
    buffer = {allocate(*dtype, std::move(dims)), false};
    if (buffer.tensor.elements() > 0) {
      gather(array, 0, data, item, buffer.tensor.bytes().data());
    }
  }
  check_bools("the array", buffer.tensor);
  return buffer;
}

nb::object array_of(nb::handle self) {
  auto& buffer = nb::cast<Buffer&>(self);
  std::vector<size_t> dims;
  for (const int64_t dim : buffer.tensor.dims()) dims.push_back(static_cast<size_t>(dim));
  void* data = buffer.tensor.bytes().data();
  const nb::dlpack::dtype dtype = dlpack_of(buffer.tensor.dtype());
  if (buffer.read_only) {
    return nb::cast(
        nb::ndarray<nb::ro, nb::array_api>(data, dims.size(), dims.data(), self, nullptr, dtype));
  }
  return nb::cast(nb::ndarray<nb::array_api>(data, dims.size(), dims.data(), self, nullptr, dtype));
}

template <typename T>
void fill(Tensor& tensor, T value) {
  std::fill_n(tensor.data<T>(), tensor.elements(), value);
}

template <typename T>
void fill_integer(Tensor& tensor, int64_t value) {
  using Limits = std::numeric_limits<T>;
  if (value < static_cast<int64_t>(Limits::min()) || value > static_cast<int64_t>(Limits::max())) {
    raise_invalid("{} does not fit {}", value, dtype_name(tensor.dtype()));
  }
  fill(tensor, static_cast<T>(value));
}

Buffer full(const std::string& name, const std::vector<int64_t>& dims, nb::handle value) {
  const DType dtype = python::dtype_of(name);
  check_shape(dtype, dims);
  Tensor tensor = allocate(dtype, dims);
  if (dtype == DType::kF32) {
    fill(tensor, nb::cast<float>(nb::float_(value)));
    return {std::move(tensor), false};
  }
  int64_t integer = 0;
  if (!PyLong_Check(value.ptr()) || !nb::try_cast(value, integer)) {
    raise_invalid("{} is no 64-bit integer, which {} needs", nb::repr(value).c_str(), name);
  }
  switch (dtype) {
    case DType::kI64: fill_integer<int64_t>(tensor, integer); break;
    case DType::kI32: fill_integer<int32_t>(tensor, integer); break;
    case DType::kI8: fill_integer<int8_t>(tensor, integer); break;
    case DType::kU8: fill_integer<uint8_t>(tensor, integer); break;
    case DType::kBool:
      if (integer < 0 || integer > 1) raise_invalid("{} does not fit bool", integer);
      fill(tensor, static_cast<uint8_t>(integer));
      break;
    default: raise_invalid("{} is for storage: make float32 and cast it", name);
  }
  return {std::move(tensor), false};
}

}  // namespace

DType dtype_of(const std::string& name) {
  const std::optional<DType> dtype = parse_dtype(name);
  if (dtype) return *dtype;
  raise_invalid("no dtype '{}'; there are f32, f16, bf16, i64, i32, i8, u8, bool", name);
}

void check_shape(DType dtype, const std::vector<int64_t>& dims) {
  if (dims.size() > kRankMax) raise_invalid("{} axes, at most {}", dims.size(), kRankMax);
  Dim elements(1);
  for (const int64_t dim : dims) {
    if (dim < 0 || dim > kDimMax) {
      raise_invalid("shape [{}]: {} is not between 0 and {}", fmt::join(dims, ","), dim, kDimMax);
    }
    elements = elements * Dim(dim);
  }
  const Dim bytes = elements * Dim(dtype_bytes(dtype));
  if (!bytes.valid() || elements.value() > kElementsMax || bytes.value() > kTensorBytesMax) {
    raise_invalid("shape [{}] of {} is larger than a tensor may be (2^38 elements, 2^40 bytes)",
                  fmt::join(dims, ","), dtype_name(dtype));
  }
}

void check_bools(std::string_view what, const Tensor& tensor) {
  if (tensor.dtype() != DType::kBool) return;
  const auto bytes = tensor.bytes();
  const auto wrong =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte byte) { return byte > std::byte{1}; });
  if (wrong == bytes.end()) return;
  raise_invalid("{} is bool and has the byte {} at element {}, expected 0 or 1", what,
                std::to_integer<int>(*wrong), wrong - bytes.begin());
}

void declare_buffer(nb::module_& module) {
  nb::class_<Buffer>(module, "Buffer",
                     "A dense tensor in memory: row-major, its elements in this machine's order.")
      .def_static(
          "of", &buffer_of, "array"_a, "copy"_a = false,
          "The array's own memory, or a copy where it is not dense and aligned.\n\n"
          "`array` has DLPack or the buffer protocol; it is kept alive. A bool whose byte is "
          "neither 0 nor 1 is refused.")
      .def_static("full", &full, "dtype"_a, "shape"_a, "value"_a,
                  "A tensor whose elements all are `value`, which must fit the dtype.")
      .def_prop_ro(
          "dtype",
          [](const Buffer& buffer) { return std::string(dtype_name(buffer.tensor.dtype())); },
          "'f32', 'f16', 'bf16', 'i64', 'i32', 'i8', 'u8' or 'bool'.")
      .def_prop_ro(
          "shape", [](const Buffer& buffer) { return nb::tuple(nb::cast(buffer.tensor.dims())); },
          nb::sig("def shape(self) -> tuple[int, ...]"), "The extent of each axis.")
      .def_prop_ro(
          "read_only", [](const Buffer& buffer) { return buffer.read_only; },
          "Whether the memory's owner forbids writing to it.")
      .def_prop_ro(
          "address",
          [](const Buffer& buffer) {
            return reinterpret_cast<uintptr_t>(buffer.tensor.bytes().data());
          },
          "Where the first element lies.")
      .def(
          "array", [](nb::handle self) { return array_of(self); },
          nb::sig("def array(self) -> typing.Any"),
          "The same memory as an object with DLPack and the buffer protocol.")
      .def(
          "reshaped",
          [](const Buffer& buffer, const std::vector<int64_t>& dims) {
            check_shape(buffer.tensor.dtype(), dims);
            Dim elements(1);
            for (const int64_t dim : dims) elements = elements * Dim(dim);
            if (elements.value() != buffer.tensor.elements()) {
              raise_invalid("shape [{}] has {} elements, [{}] has {}",
                            fmt::join(buffer.tensor.dims(), ","), buffer.tensor.elements(),
                            fmt::join(dims, ","), elements.value());
            }
            return Buffer{buffer.tensor.reshaped(dims), buffer.read_only};
          },
          "shape"_a, "The same memory under another shape of as many elements.");
}

}  // namespace bcai::vm::python
