// SPDX-License-Identifier: Apache-2.0
// Conversions between element types, exact where they can be, else as Cast states.
#pragma once

#include <cstdint>

#include "vm/tensor/tensor.h"

namespace bcai::vm::reference {

// IEEE binary16 and bfloat16, as bits. Widening is exact; narrowing rounds to nearest even. A NaN
// becomes the quiet one.
float widen_f16(uint16_t bits);
float widen_bf16(uint16_t bits);
uint16_t narrow_f16(float value);
uint16_t narrow_bf16(float value);

// f32 of an f16 or bf16 tensor.
Tensor widened(const Tensor& stored);

// to[at_to] = Cast(from[at_from]).
void convert_element(const Tensor& from, int64_t at_from, Tensor& to, int64_t at_to);

}  // namespace bcai::vm::reference
