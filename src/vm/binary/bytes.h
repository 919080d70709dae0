// SPDX-License-Identifier: Apache-2.0
// Reads and writes the integers, texts and dimensions of the binary form. Integers are LEB128 in
// the least number of bytes; signed ones are zig-zagged first.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "vm/binary/binary.h"
#include "vm/isa/dim.h"

namespace bcai::vm {

class ByteWriter {
 public:
  void u8(uint8_t value) { bytes_ += static_cast<char>(value); }
  void u16(uint16_t value);  // little-endian
  void number(uint64_t value);
  void integer(int64_t value);
  void real(float value);  // its bits, little-endian
  void raw(std::string_view bytes) { bytes_ += bytes; }
  void text(std::string_view text);  // length, bytes
  void dim(const Dim& dim);
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// After the first finding all reads give zero and `ok` is false; callers look at it before they
// act on what they read.
class ByteReader {
 public:
  // `bytes` must outlive the reader.
  explicit ByteReader(std::string_view bytes) : bytes_(bytes), end_(bytes.size()) {}

  bool ok() const { return !finding_.has_value(); }
  const std::optional<BinaryFinding>& finding() const { return finding_; }
  size_t offset() const { return at_; }
  size_t left() const { return end_ - at_; }
  std::string_view since(size_t offset) const { return bytes_.substr(offset, at_ - offset); }

  uint8_t u8();
  uint16_t u16();
  uint64_t number();
  // A number that must be at most `max`, else a finding of `rule`.
  uint64_t number(uint64_t max, std::string_view rule, std::string_view what);
  int64_t integer();
  float real();
  std::string_view raw(size_t size);
  // How many things follow: at most `max`, and no more than fit into the bytes that are left when
  // each takes at least `bytes_each`.
  size_t count(size_t max, size_t bytes_each, std::string_view what);
  std::string name();
  Dim dim();

  // Bytes after the next `size` are out of reach until the offset before is given back.
  size_t enter(size_t size);
  void leave(size_t end) { end_ = end; }

  // Remembers the first. Returns false.
  template <typename... Args>
  bool fail(size_t offset, std::string_view rule, fmt::format_string<Args...> format,
            Args&&... args) {
    if (ok()) finding_ = {offset, rule, fmt::format(format, std::forward<Args>(args)...)};
    return false;
  }

 private:
  Dim read_dim(size_t depth);
  Dim read_factor(size_t depth);

  std::string_view bytes_;
  size_t at_ = 0;
  size_t end_;
  std::optional<BinaryFinding> finding_;
};

}  // namespace bcai::vm
