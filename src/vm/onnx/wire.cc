// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/wire.h"

#include <bit>

namespace bcai::vm::onnx {
namespace {

constexpr uint64_t kFieldNumberMax = (uint64_t{1} << 29) - 1;

Result<uint64_t> read_varint(std::string_view bytes, size_t* at) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (*at >= bytes.size()) {
      return error(ErrorCode::kInvalidArgument, "byte {}: a number is cut off", *at);
    }
    const auto byte = static_cast<uint8_t>(bytes[(*at)++]);
    const uint64_t low = byte & 0x7FU;
    if (shift == 63 && low > 1) break;
    value |= low << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  return error(ErrorCode::kInvalidArgument, "byte {}: a number exceeds 64 bits", *at);
}

Result<uint64_t> read_fixed(std::string_view bytes, size_t width, size_t* at) {
  if (bytes.size() - *at < width) {
    return error(ErrorCode::kInvalidArgument, "byte {}: {} bytes are cut off", *at, width);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[*at + i])} << (8 * i);
  }
  *at += width;
  return value;
}

Error wrong_type(const Field& field, std::string_view expected) {
  return error(ErrorCode::kInvalidArgument, "field {} has wire type {}, expected {}", field.number,
               static_cast<int>(field.type), expected);
}

float to_float(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }

}  // namespace

Result<bool> WireReader::next(Field* field) {
  if (at_ == bytes_.size()) return false;
  BCAI_TRY_ASSIGN(const uint64_t tag, read_varint(bytes_, &at_));
  const uint64_t number = tag >> 3U;
  if (number == 0 || number > kFieldNumberMax) {
    return error(ErrorCode::kInvalidArgument, "byte {}: field number {}", at_, number);
  }
  field->number = static_cast<uint32_t>(number);
  field->type = static_cast<WireType>(tag & 7U);
  switch (field->type) {
    case WireType::kVarint: {
      BCAI_TRY_ASSIGN(field->value, read_varint(bytes_, &at_));
      return true;
    }
    case WireType::kFixed64: {
      BCAI_TRY_ASSIGN(field->value, read_fixed(bytes_, 8, &at_));
      return true;
    }
    case WireType::kFixed32: {
      BCAI_TRY_ASSIGN(field->value, read_fixed(bytes_, 4, &at_));
      return true;
    }
    case WireType::kBytes: {
      BCAI_TRY_ASSIGN(const uint64_t length, read_varint(bytes_, &at_));
      if (length > bytes_.size() - at_) {
        return error(ErrorCode::kInvalidArgument, "byte {}: field {} has {} bytes, {} are left",
                     at_, field->number, length, bytes_.size() - at_);
      }
      field->bytes = bytes_.substr(at_, length);
      at_ += length;
      return true;
    }
  }
  return error(ErrorCode::kInvalidArgument, "byte {}: wire type {}", at_, tag & 7U);
}

Result<int64_t> integer_of(const Field& field) {
  if (field.type != WireType::kVarint) return wrong_type(field, "0, a number");
  return static_cast<int64_t>(field.value);
}

Result<float> float_of(const Field& field) {
  if (field.type != WireType::kFixed32) return wrong_type(field, "5, four bytes");
  return to_float(field.value);
}

Result<std::string_view> bytes_of(const Field& field) {
  if (field.type != WireType::kBytes) return wrong_type(field, "2, bytes");
  return field.bytes;
}

Result<void> append_integers(const Field& field, std::vector<int64_t>* numbers) {
  if (field.type == WireType::kVarint) {
    numbers->push_back(static_cast<int64_t>(field.value));
    return {};
  }
  BCAI_TRY_ASSIGN(const std::string_view packed, bytes_of(field));
  for (size_t at = 0; at < packed.size();) {
    BCAI_TRY_ASSIGN(const uint64_t value, read_varint(packed, &at));
    numbers->push_back(static_cast<int64_t>(value));
  }
  return {};
}

Result<void> append_floats(const Field& field, std::vector<float>* numbers) {
  if (field.type == WireType::kFixed32) {
    numbers->push_back(to_float(field.value));
    return {};
  }
  BCAI_TRY_ASSIGN(const std::string_view packed, bytes_of(field));
  for (size_t at = 0; at < packed.size();) {
    BCAI_TRY_ASSIGN(const uint64_t bits, read_fixed(packed, 4, &at));
    numbers->push_back(to_float(bits));
  }
  return {};
}

}  // namespace bcai::vm::onnx
