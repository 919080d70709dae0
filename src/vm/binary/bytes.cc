// SPDX-License-Identifier: Apache-2.0
#include "vm/binary/bytes.h"

#include <bit>
#include <cstring>

#include "base/result.h"
#include "vm/program/name.h"

namespace bcai::vm {

void ByteWriter::u16(uint16_t value) {
  u8(static_cast<uint8_t>(value & 0xff));
  u8(static_cast<uint8_t>(value >> 8));
}

void ByteWriter::number(uint64_t value) {
  while (value >= 0x80) {
    u8(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  u8(static_cast<uint8_t>(value));
}

void ByteWriter::integer(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  number((bits << 1) ^ (value < 0 ? ~uint64_t{0} : 0));
}

void ByteWriter::real(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) u8(static_cast<uint8_t>(bits >> shift));
}

void ByteWriter::text(std::string_view text) {
  number(text.size());
  raw(text);
}

void ByteWriter::dim(const Dim& dim) {
  BCAI_ASSERT(dim.valid());
  number(dim.terms().size());
  integer(dim.constant_term());
  for (const Dim::Term& term : dim.terms()) {
    integer(term.coefficient);
    number(term.factors.size());
    for (const Dim::Factor& factor : term.factors) {
      if (factor.quotient_of == nullptr) {
        number(uint64_t{factor.symbol} + 1);
      } else {
        number(0);
        integer(factor.divisor);
        this->dim(*factor.quotient_of);
      }
    }
  }
}

uint8_t ByteReader::u8() {
  const std::string_view byte = raw(1);
  return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
}

uint16_t ByteReader::u16() {
  const uint8_t low = u8();
  return static_cast<uint16_t>(low | (u8() << 8));
}

std::string_view ByteReader::raw(size_t size) {
  if (!ok()) return {};
  if (size > left()) {
    fail(at_, "V1", "{} bytes expected, {} are left", size, left());
    return {};
  }
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

uint64_t ByteReader::number() {
  const size_t start = at_;
  uint64_t value = 0;
  for (int shift = 0; ok(); shift += 7) {
    const uint8_t byte = u8();
    const uint64_t bits = byte & 0x7fU;
    if (shift == 63 && byte > 1) {
      fail(start, "V3", "a number of more than 64 bits");
      break;
    }
    value |= bits << shift;
    if ((byte & 0x80U) != 0) continue;
    if (byte == 0 && shift > 0) fail(start, "V3", "a number in more bytes than it needs");
    break;
  }
  return ok() ? value : 0;
}

uint64_t ByteReader::number(uint64_t max, std::string_view rule, std::string_view what) {
  const size_t start = at_;
  const uint64_t value = number();
  if (value > max) {
    fail(start, rule, "{} is {}, expected at most {}", what, value, max);
    return 0;
  }
  return value;
}

int64_t ByteReader::integer() {
  const uint64_t value = number();
  return static_cast<int64_t>((value >> 1) ^ ((value & 1U) != 0 ? ~uint64_t{0} : 0));
}

float ByteReader::real() {
  uint32_t bits = 0;
  for (int shift = 0; shift < 32; shift += 8) bits |= static_cast<uint32_t>(u8()) << shift;
  return std::bit_cast<float>(bits);
}

size_t ByteReader::count(size_t max, size_t bytes_each, std::string_view what) {
  const size_t start = at_;
  const uint64_t value = number(max, "V5", what);
  if (value > left() / bytes_each) {
    fail(start, "V1", "{} is {}, more than the {} bytes that are left can hold", what, value,
         left());
    return 0;
  }
  return static_cast<size_t>(value);
}

std::string ByteReader::name() {
  const size_t start = at_;
  const std::string_view text = raw(number(kNameBytesMax, "V3", "the length of a name"));
  if (ok() && !is_name(text)) {
    fail(start, "V3", "a name is 1 to {} bytes of UTF-8", kNameBytesMax);
  }
  return std::string(text);
}

size_t ByteReader::enter(size_t size) {
  const size_t before = end_;
  if (size > left()) {
    fail(at_, "V1", "{} bytes expected, {} are left", size, left());
  } else {
    end_ = at_ + size;
  }
  return before;
}

// It is built by arithmetic, which gives the canonical form. What reads as that form was written in
// it.
Dim ByteReader::dim() {
  const size_t start = at_;
  const Dim read = read_dim(0);
  if (!ok()) return {};
  if (!read.valid()) {
    fail(start, "V3", "a dimension overflows or is too large");
    return {};
  }
  if (bytes_[start] != 0) {  // it has products
    ByteWriter canonical;
    canonical.dim(read);
    if (canonical.bytes() != since(start)) {
      fail(start, "V3", "a dimension is not in its canonical form");
    }
  }
  return read;
}

Dim ByteReader::read_dim(size_t depth) {
  const size_t terms = number(kMonomialsMax, "V3", "the count of products in a dimension");
  Dim sum(integer());
  for (size_t i = 0; i < terms && ok(); ++i) {
    Dim product(integer());
    const size_t factors = number(kDegreeMax, "V3", "the count of factors in a dimension");
    for (size_t j = 0; j < factors && ok(); ++j) product = product * read_factor(depth);
    sum = sum + product;
  }
  return sum;
}

Dim ByteReader::read_factor(size_t depth) {
  const size_t start = at_;
  const uint64_t symbol = number(kSymbolsMax, "V3", "a symbol");
  if (symbol > 0) return Dim::symbol(static_cast<uint32_t>(symbol - 1));
  if (depth == kDimFactorsMax) {
    fail(start, "V3", "a dimension is nested more than {} deep", kDimFactorsMax);
    return {};
  }
  const int64_t divisor = integer();
  return floor_div(read_dim(depth + 1), divisor);
}

}  // namespace bcai::vm
