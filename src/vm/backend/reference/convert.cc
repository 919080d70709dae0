// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/convert.h"

#include <bit>
#include <cmath>
#include <limits>

#include "vm/backend/reference/step.h"

namespace bcai::vm::reference {
namespace {

// Truncates and saturates; NaN gives 0.
template <typename T>
T from_float(float value) {
  if (std::isnan(value)) return 0;
  // 2^digits is exact in f32 and the first value above the range.
  const float above = std::ldexp(1.0F, std::numeric_limits<T>::digits);
  if (value >= above) return std::numeric_limits<T>::max();
  if (value <= static_cast<float>(std::numeric_limits<T>::min())) {
    return std::numeric_limits<T>::min();
  }
  return static_cast<T>(value);
}

template <typename Body>
void read(const Tensor& tensor, int64_t at, Body body) {
  if (tensor.dtype() == DType::kF16) return body(widen_f16(tensor.data<uint16_t>()[at]));
  if (tensor.dtype() == DType::kBF16) return body(widen_bf16(tensor.data<uint16_t>()[at]));
  with_type(tensor.dtype(), [&](auto zero) { body(tensor.data<decltype(zero)>()[at]); });
}

}  // namespace

float widen_bf16(uint16_t bits) {
  const auto value = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U);
  return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value;
}

float widen_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16U;
  const uint32_t exponent = (bits >> 10U) & 0x1fU;
  const uint32_t fraction = bits & 0x3ffU;
  if (exponent == 31 && fraction != 0) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U);
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23U | fraction << 13U);
}

Tensor widened(const Tensor& stored) {
  Tensor wide(DType::kF32, stored.dims());
  const auto* const from = stored.data<uint16_t>();
  float* const to = wide.data<float>();
  const auto widen = stored.dtype() == DType::kF16 ? widen_f16 : widen_bf16;
  for (int64_t i = 0; i < stored.elements(); ++i) to[i] = widen(from[i]);
  return wide;
}

uint16_t narrow_bf16(float value) {
  if (std::isnan(value)) return 0x7fc0;
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

uint16_t narrow_f16(float value) {
  if (std::isnan(value)) return 0x7e00;
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0F) return sign | 0x7c00;
  if (magnitude < 0x1p-14F) {
    // Denormal: a multiple of 2^-24; scaling by a power of two is exact.
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24F)));
  }
  const auto bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded = bits + 0xfffU + ((bits >> 13U) & 1U);
  return static_cast<uint16_t>(sign | ((rounded - (112U << 23U)) >> 13U));
}

void convert_element(const Tensor& from, int64_t at_from, Tensor& to, int64_t at_to) {
  read(from, at_from, [&](auto value) {
    using From = decltype(value);
    if (to.dtype() == DType::kF16) {
      to.data<uint16_t>()[at_to] = narrow_f16(static_cast<float>(value));
      return;
    }
    if (to.dtype() == DType::kBF16) {
      to.data<uint16_t>()[at_to] = narrow_bf16(static_cast<float>(value));
      return;
    }
    if (to.dtype() == DType::kBool) {
      to.data<uint8_t>()[at_to] = value != From(0) ? 1 : 0;
      return;
    }
    with_type(to.dtype(), [&](auto zero) {
      using To = decltype(zero);
      if constexpr (std::is_same_v<From, float> && !std::is_same_v<To, float>) {
        to.data<To>()[at_to] = from_float<To>(value);
      } else {
        to.data<To>()[at_to] = static_cast<To>(value);  // wraps among integers
      }
    });
  });
}

}  // namespace bcai::vm::reference
