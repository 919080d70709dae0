// SPDX-License-Identifier: Apache-2.0
// What may name a thing in a program. The text and the binary form ask the same questions.
#pragma once

#include <string_view>

namespace bcai::vm {

// 1 to kNameBytesMax bytes of UTF-8 (rule V3).
bool is_name(std::string_view text);

// [A-Za-z_][A-Za-z0-9_.]*
bool is_identifier(std::string_view text);

// What a symbol may be called: an identifier that means nothing else in a dimension.
bool is_symbol_name(std::string_view text);

}  // namespace bcai::vm
