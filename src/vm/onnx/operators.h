// SPDX-License-Identifier: Apache-2.0
// The operators that can be imported. A row is the whole registration of one.
#pragma once

#include <span>
#include <string_view>

#include "vm/onnx/site.h"

namespace bcai::vm::onnx {

// Every operator's history was read up to kOpsetMax; models of later opsets are refused. Before
// kOpsetMin operators had attributes in place of today's rules.
inline constexpr int64_t kOpsetMin = 6;
inline constexpr int64_t kOpsetMax = 25;
inline constexpr std::string_view kMicrosoft = "com.microsoft";

using ImportFunction = void (*)(Site&);

struct Operator {
  std::string_view domain;
  std::string_view name;
  int64_t since;  // the first opset whose meaning is imported
  ImportFunction import;
  std::string_view restrictions;  // in words, for the reference page; "" for none
};

std::span<const Operator> operators();
const Operator* find_operator(std::string_view domain, std::string_view name);

}  // namespace bcai::vm::onnx
