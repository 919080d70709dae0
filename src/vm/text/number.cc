// SPDX-License-Identifier: Apache-2.0
#include "vm/text/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/result.h"

namespace bcai::vm {
namespace {

constexpr uint32_t kNan32 = 0x7fc00000;
constexpr uint16_t kNan16 = 0x7e00;
constexpr uint16_t kNanBrain = 0x7fc0;

float widen_half(uint16_t bits) {
  const float sign = (bits & 0x8000U) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity()
                         : std::bit_cast<float>(kNan32);
  }
  return exponent == 0 ? sign * std::ldexp(static_cast<float>(fraction), -24)
                       : sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

float widen_brain(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Absent when the value is not one of an f16.
std::optional<uint16_t> narrow_half(float value) {
  if (std::isnan(value)) return kNan16;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const float magnitude = std::fabs(value);
  uint32_t bits = 0x7c00;
  if (std::isfinite(magnitude)) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);  // magnitude = [0.5, 1) * 2^exponent
    const int unit = magnitude == 0 ? -24 : std::max(exponent - 11, -24);
    const float fraction = std::ldexp(magnitude, -unit);
    if (fraction != std::floor(fraction) || exponent > 16) return std::nullopt;
    // The hidden bit of a normal number adds one to the exponent field.
    bits = static_cast<uint32_t>(fraction) + (static_cast<uint32_t>(unit + 24) << 10);
  }
  return static_cast<uint16_t>(sign | bits);
}

std::optional<uint16_t> narrow_brain(float value) {
  if (std::isnan(value)) return kNanBrain;
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0xffffU) != 0) return std::nullopt;
  return static_cast<uint16_t>(bits >> 16);
}

template <typename T>
void append(T value, std::string* bytes) {
  static_assert(std::endian::native == std::endian::little);
  bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
bool append_if(std::optional<T> value, std::string* bytes) {
  if (value) append(*value, bytes);
  return value.has_value();
}
template <typename T>
bool append_integer(bool negative, std::string_view magnitude, T max, std::string* bytes) {
  const std::optional<int64_t> value = parse_integer(negative, magnitude);
  if (!value || *value < std::numeric_limits<T>::min() || *value > max) return false;
  append(static_cast<T>(*value), bytes);
  return true;
}

template <typename T>
T load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

std::optional<uint64_t> parse_unsigned(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc() || stopped != end) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_integer(bool negative, std::string_view magnitude) {
  const std::optional<uint64_t> value = parse_unsigned(magnitude);
  constexpr uint64_t kMax = INT64_MAX;
  if (!value || *value > kMax + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<int64_t>(negative ? -*value : *value);
}

std::optional<float> parse_float(bool negative, std::string_view magnitude) {
  if (magnitude == "nan" && !negative) return std::bit_cast<float>(kNan32);
  float value = std::numeric_limits<float>::infinity();
  if (magnitude != "inf") {
    if (magnitude.empty() || magnitude[0] < '0' || magnitude[0] > '9') return std::nullopt;
    const bool hex = magnitude.starts_with("0x") || magnitude.starts_with("0X");
    if (hex) magnitude.remove_prefix(2);
    const char* end = magnitude.data() + magnitude.size();
    const auto [stopped, problem] = std::from_chars(
        magnitude.data(), end, value, hex ? std::chars_format::hex : std::chars_format::general);
    if (problem != std::errc() || stopped != end || !std::isfinite(value)) return std::nullopt;
  }
  return negative ? -value : value;
}

std::string float_text(float value) {
  if (std::isnan(value)) return "nan";
  const char* sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) return fmt::format("{}inf", sign);
  if (value == 0) return fmt::format("{}0x0p+0", sign);
  int exponent = 0;
  const float half = std::frexp(std::fabs(value), &exponent);  // [0.5, 1)
  // One digit before the point, 24 bits (6 digits) after it, the last of them zeros.
  auto fraction = static_cast<uint32_t>(std::ldexp(half * 2 - 1, 24));
  int digits = 6;
  while (digits > 0 && (fraction & 0xfU) == 0) {
    fraction >>= 4;
    --digits;
  }
  const std::string tail = digits == 0 ? "" : fmt::format(".{:0{}x}", fraction, digits);
  return fmt::format("{}0x1{}p{:+}", sign, tail, exponent - 1);
}

bool append_element(DType dtype, bool negative, std::string_view magnitude, std::string* bytes) {
  switch (dtype) {
    case DType::kF32: return append_if(parse_float(negative, magnitude), bytes);
    case DType::kF16: {
      const std::optional<float> value = parse_float(negative, magnitude);
      return value && append_if(narrow_half(*value), bytes);
    }
    case DType::kBF16: {
      const std::optional<float> value = parse_float(negative, magnitude);
      return value && append_if(narrow_brain(*value), bytes);
    }
    case DType::kI64: return append_integer<int64_t>(negative, magnitude, INT64_MAX, bytes);
    case DType::kI32: return append_integer<int32_t>(negative, magnitude, INT32_MAX, bytes);
    case DType::kI8: return append_integer<int8_t>(negative, magnitude, INT8_MAX, bytes);
    case DType::kU8: return append_integer<uint8_t>(negative, magnitude, UINT8_MAX, bytes);
    case DType::kBool: return append_integer<uint8_t>(negative, magnitude, 1, bytes);
  }
  return false;
}

std::string element_text(DType dtype, const char* bytes) {
  switch (dtype) {
    case DType::kF32: return float_text(load<float>(bytes));
    case DType::kF16: return float_text(widen_half(load<uint16_t>(bytes)));
    case DType::kBF16: return float_text(widen_brain(load<uint16_t>(bytes)));
    case DType::kI64: return fmt::format("{}", load<int64_t>(bytes));
    case DType::kI32: return fmt::format("{}", load<int32_t>(bytes));
    case DType::kI8: return fmt::format("{}", static_cast<int>(load<int8_t>(bytes)));
    case DType::kU8:
    case DType::kBool: return fmt::format("{}", static_cast<int>(load<uint8_t>(bytes)));
  }
  BCAI_ASSERT(false);
}

}  // namespace bcai::vm
