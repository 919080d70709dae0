// SPDX-License-Identifier: Apache-2.0
// Findings as people read them, with the source line and a caret under the place:
//   train.py:14:9: import of 'ctypes' is not allowed …
//       import ctypes
//              ^
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/result.h"
#include "cli/screen.h"

namespace bcai::cli {

// Findings about "/code" with a line get the file's name; the others name their field. Columns
// count characters, not bytes.
std::string findings_with_source(const Screen& screen, const std::vector<Finding>& findings,
                                 std::string_view filename, std::string_view code);

// Names line and byte of the first thing that is not UTF-8.
Result<void> check_utf8(std::string_view text, std::string_view filename);

}  // namespace bcai::cli
