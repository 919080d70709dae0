// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/dtype.h"

#include <array>

#include "base/result.h"

namespace bcai::vm {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<Row, 8> kRows = {{{DType::kF32, "f32", 4},
                                       {DType::kF16, "f16", 2},
                                       {DType::kBF16, "bf16", 2},
                                       {DType::kI64, "i64", 8},
                                       {DType::kI32, "i32", 4},
                                       {DType::kI8, "i8", 1},
                                       {DType::kU8, "u8", 1},
                                       {DType::kBool, "bool", 1}}};

const Row& row(DType dtype) {
  const auto index = static_cast<size_t>(dtype) - 1;
  BCAI_ASSERT(index < kRows.size());
  return kRows[index];
}

}  // namespace

int64_t dtype_bytes(DType dtype) { return row(dtype).bytes; }
std::string_view dtype_name(DType dtype) { return row(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Row& candidate : kRows) {
    if (candidate.name == name) return candidate.dtype;
  }
  return std::nullopt;
}

bool is_dtype(uint64_t code) { return code >= 1 && code <= kRows.size(); }

}  // namespace bcai::vm
