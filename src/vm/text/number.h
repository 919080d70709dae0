// SPDX-License-Identifier: Apache-2.0
// Numbers in program text. Floats are printed in hexadecimal: exact, shortest, one form for each
// value ("0x1.8p+0", "-0x0p+0", "inf", "nan"). A NaN has the canonical bits of its dtype.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vm/isa/dtype.h"

namespace bcai::vm {

// Digits only.
std::optional<uint64_t> parse_unsigned(std::string_view text);
std::optional<int64_t> parse_integer(bool negative, std::string_view magnitude);

// Decimal or hexadecimal, rounded to nearest; also inf and nan. Absent when it is no number, or too
// large or too small for an f32.
std::optional<float> parse_float(bool negative, std::string_view magnitude);
std::string float_text(float value);

// Appends one element of a constant, little-endian. False when the number does not fit the dtype;
// f16 and bf16 take only what they hold exactly.
bool append_element(DType dtype, bool negative, std::string_view magnitude, std::string* bytes);
// The element at `bytes`, which holds dtype_bytes(dtype).
std::string element_text(DType dtype, const char* bytes);

}  // namespace bcai::vm
