// SPDX-License-Identifier: Apache-2.0
// What safetensors files call the element types that programs have.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vm/isa/dtype.h"

namespace bcai::vm {

std::optional<DType> parse_safetensors_dtype(std::string_view word);
std::string_view safetensors_dtype(DType dtype);  // "BF16"
std::string safetensors_dtypes();                 // "F32, F16, …", for messages

}  // namespace bcai::vm
