// SPDX-License-Identifier: Apache-2.0
// Text from anywhere, made fit for JSON and for a limit.
#pragma once

#include <string>
#include <string_view>

namespace bcai {

// At most bytes_max bytes of valid UTF-8: cut between characters, "…" at the end when cut, and
// U+FFFD for what is not UTF-8. bytes_max is at least 3.
std::string clip_utf8(std::string_view text, size_t bytes_max);

bool is_utf8(std::string_view text);

}  // namespace bcai
