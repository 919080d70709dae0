// SPDX-License-Identifier: Apache-2.0
#include "vm/program/name.h"

#include <algorithm>
#include <cstdint>

#include "base/ascii.h"
#include "vm/program/program.h"

namespace bcai::vm {
namespace {

// The bytes of the character at the start, 0 when it is none: no overlong forms, no surrogates,
// nothing above U+10FFFF (RFC 3629).
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  const uint8_t second = byte(1);
  const bool outside = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return outside ? 0 : size;
}

bool is_first(char c) { return is_letter(c) || c == '_'; }

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kNameBytesMax) return false;
  while (!text.empty()) {
    const size_t size = character_bytes(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

bool is_identifier(std::string_view text) {
  return is_name(text) && is_first(text[0]) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_first(c) || is_digit(c) || c == '.';
         });
}

bool is_symbol_name(std::string_view text) {
  return is_identifier(text) && text != "floor_div" && text != "ceil_div";
}

}  // namespace bcai::vm
