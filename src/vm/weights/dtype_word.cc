// SPDX-License-Identifier: Apache-2.0
#include "vm/weights/dtype_word.h"

#include <array>

#include "base/result.h"

namespace bcai::vm {
namespace {

struct Word {
  DType dtype;
  std::string_view text;
};
constexpr std::array<Word, 8> kWords = {{{DType::kF32, "F32"},
                                         {DType::kF16, "F16"},
                                         {DType::kBF16, "BF16"},
                                         {DType::kI64, "I64"},
                                         {DType::kI32, "I32"},
                                         {DType::kI8, "I8"},
                                         {DType::kU8, "U8"},
                                         {DType::kBool, "BOOL"}}};

}  // namespace

std::optional<DType> parse_safetensors_dtype(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) return word.dtype;
  }
  return std::nullopt;
}

std::string_view safetensors_dtype(DType dtype) {
  for (const Word& word : kWords) {
    if (word.dtype == dtype) return word.text;
  }
  BCAI_ASSERT(false);
}

std::string safetensors_dtypes() {
  std::string list;
  for (const Word& word : kWords) list += (list.empty() ? "" : ", ") + std::string(word.text);
  return list;
}

}  // namespace bcai::vm
