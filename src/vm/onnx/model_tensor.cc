// SPDX-License-Identifier: Apache-2.0
// A tensor's elements, from the model's bytes or from a file beside it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/file.h"
#include "base/path.h"
#include "vm/onnx/model.h"

namespace bcai::vm::onnx {
namespace {

constexpr std::array<std::string_view, 24> kElementTypes = {
    "undefined",      "float",      "uint8",          "int8",       "uint16",   "int16",
    "int32",          "int64",      "string",         "bool",       "float16",  "double",
    "uint32",         "uint64",     "complex64",      "complex128", "bfloat16", "float8e4m3fn",
    "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",      "int4",     "float4e2m1"};

Result<int64_t> number_of(const TensorMessage& tensor, const std::string& key, int64_t otherwise) {
  const auto found = tensor.external_data.find(key);
  if (found == tensor.external_data.end()) return otherwise;
  const std::string& text = found->second;
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number < 0) {
    return error(ErrorCode::kInvalidArgument, "external data: {} is '{}'", key, text);
  }
  return number;
}

Result<void> read_at(const std::filesystem::path& file, int64_t offset,
                     std::span<std::byte> bytes) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return errno_error(errno, "open " + file.string());
  while (!bytes.empty()) {
    const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + file.string());
    if (got == 0) return error(ErrorCode::kDataLoss, "{} became shorter", file.string());
    bytes = bytes.subspan(static_cast<size_t>(got));
    offset += got;
  }
  return {};
}

template <typename T>
void store(Tensor& tensor, const std::vector<int64_t>& numbers) {
  for (size_t i = 0; i < numbers.size(); ++i) tensor.data<T>()[i] = static_cast<T>(numbers[i]);
}

// float_data and int32_data or int64_data.
Result<void> fill_typed(const TensorMessage& message, Tensor& tensor) {
  const bool real = tensor.dtype() == DType::kF32;
  const size_t given = real ? message.floats.size() : message.integers.size();
  if (given != static_cast<size_t>(tensor.elements())) {
    return error(ErrorCode::kInvalidArgument, "has {} elements, its dimensions say {}", given,
                 tensor.elements());
  }
  switch (tensor.dtype()) {
    case DType::kF32:
      std::copy(message.floats.begin(), message.floats.end(), tensor.data<float>());
      break;
    case DType::kF16:
    case DType::kBF16: store<uint16_t>(tensor, message.integers); break;
    case DType::kI64: store<int64_t>(tensor, message.integers); break;
    case DType::kI32: store<int32_t>(tensor, message.integers); break;
    case DType::kI8: store<int8_t>(tensor, message.integers); break;
    case DType::kU8:
    case DType::kBool: store<uint8_t>(tensor, message.integers); break;
  }
  return {};
}

}  // namespace

Result<DType> dtype_of(int64_t element_type) {
  switch (element_type) {
    case 1: return DType::kF32;
    case 2: return DType::kU8;
    case 3: return DType::kI8;
    case 6: return DType::kI32;
    case 7: return DType::kI64;
    case 9: return DType::kBool;
    case 10: return DType::kF16;
    case 16: return DType::kBF16;
    default: break;
  }
  const bool named = element_type >= 0 && element_type < std::ssize(kElementTypes);
  return error(ErrorCode::kUnimplemented, "element type {} is not supported",
               named ? std::string(kElementTypes[static_cast<size_t>(element_type)])
                     : std::to_string(element_type));
}

Result<ExternalData::Place> ExternalData::find(const TensorMessage& tensor, int64_t bytes) {
  if (directory_.empty()) {
    return error(ErrorCode::kFailedPrecondition,
                 "its data lies in another file, and the model was not read from a directory");
  }
  const auto location = tensor.external_data.find("location");
  if (location == tensor.external_data.end()) {
    return error(ErrorCode::kInvalidArgument, "external data: it has no location");
  }
  Result<std::filesystem::path> inside = path_inside(directory_, location->second);
  if (!inside) return error(inside.error().code, "external data: {}", inside.error().message);
  const std::filesystem::path file = *std::move(inside);
  std::error_code problem;
  const bool regular = std::filesystem::is_regular_file(file, problem);
  const auto size = static_cast<int64_t>(regular ? std::filesystem::file_size(file, problem) : 0);
  if (!regular || problem) {
    return error(ErrorCode::kInvalidArgument, "external data: '{}' is not a file",
                 location->second);
  }
  if (sizes_.emplace(file, size).second) bytes_listed_ += size;
  BCAI_TRY_ASSIGN(const int64_t offset, number_of(tensor, "offset", 0));
  BCAI_TRY_ASSIGN(const int64_t length, number_of(tensor, "length", bytes));
  if (length != bytes || offset > size || bytes > size - offset) {
    return error(ErrorCode::kInvalidArgument,
                 "external data: {} bytes at {} of '{}', which has {}; the dimensions say {}",
                 length, offset, location->second, size, bytes);
  }
  if (bytes > bytes_listed_ - bytes_found_) {
    return error(ErrorCode::kInvalidArgument, "external data: tensors overlap in '{}'",
                 location->second);
  }
  bytes_found_ += bytes;
  return Place{file, offset};
}

Result<Tensor> to_tensor(const TensorMessage& message, ExternalData& external) {
  BCAI_TRY_ASSIGN(const DType dtype, dtype_of(message.data_type));
  if (message.unread) {
    return error(ErrorCode::kUnimplemented, "its elements are stored in an unsupported form");
  }
  if (message.dims.size() > kRankMax) {
    return error(ErrorCode::kInvalidArgument, "has {} dimensions, at most {} are supported",
                 message.dims.size(), kRankMax);
  }
  Dim elements(1);
  for (const int64_t dim : message.dims) {
    if (dim < 0 || dim > kDimMax) {
      return error(ErrorCode::kInvalidArgument, "has a dimension of {}", dim);
    }
    elements = elements * Dim(dim);
  }
  const Dim bytes = elements * Dim(dtype_bytes(dtype));
  if (!bytes.valid() || elements.value() > kElementsMax || bytes.value() > kTensorBytesMax) {
    return error(ErrorCode::kInvalidArgument, "its dimensions' product is too large");
  }
  // Before memory is taken: are the elements there?
  const size_t typed = std::max(message.floats.size(), message.integers.size());
  const size_t raw = message.raw ? message.raw->size() : 0;
  if (!message.external && message.raw && raw != static_cast<size_t>(bytes.value())) {
    return error(ErrorCode::kInvalidArgument, "has {} bytes, its dimensions say {}", raw,
                 bytes.value());
  }
  if (!message.external && !message.raw && typed != static_cast<size_t>(elements.value())) {
    return error(ErrorCode::kInvalidArgument, "has {} elements, its dimensions say {}", typed,
                 elements.value());
  }
  ExternalData::Place place;
  if (message.external) {
    BCAI_TRY_ASSIGN(place, external.find(message, bytes.value()));
  }
  Tensor tensor(dtype, message.dims);
  if (message.external) {
    BCAI_TRY(read_at(place.file, place.offset, tensor.bytes()));
  } else if (message.raw) {
    if (raw > 0) std::memcpy(tensor.bytes().data(), message.raw->data(), raw);
  } else {
    BCAI_TRY(fill_typed(message, tensor));
  }
  if (dtype == DType::kBool) {
    for (std::byte& byte : tensor.bytes()) byte = std::byte{byte != std::byte{0}};
  }
  return tensor;
}

}  // namespace bcai::vm::onnx
