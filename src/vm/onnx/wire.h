// SPDX-License-Identifier: Apache-2.0
// Reads the protocol buffers wire format: a message is a sequence of numbered fields.
//
// Guarantees: reads inside the given bytes only, allocates nothing but error text, ends. It is
// strict: a varint has at most 10 bytes and fits 64 bits, field numbers are 1 to 2^29 - 1, groups
// are refused, and a length lies within what is left.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bcai::vm::onnx {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      // kVarint, kFixed64, kFixed32
  std::string_view bytes;  // kBytes: part of what the reader was given
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}
  // False at the end.
  Result<bool> next(Field* field);

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

// What a field holds, or kInvalidArgument when it is of another wire type.
Result<int64_t> integer_of(const Field& field);
Result<float> float_of(const Field& field);
Result<std::string_view> bytes_of(const Field& field);

// Adds the numbers of a repeated field, packed or one by one. At most one number for each byte.
Result<void> append_integers(const Field& field, std::vector<int64_t>* numbers);
Result<void> append_floats(const Field& field, std::vector<float>* numbers);

}  // namespace bcai::vm::onnx
