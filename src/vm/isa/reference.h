// SPDX-License-Identifier: Apache-2.0
// The instruction table for readers and for other languages.
#pragma once

#include <string>

#include "base/json.h"

namespace bcai::vm {

// Everything the table knows: what `bcai vm isa --json` prints and the Python builder reads.
json::value isa_json();

// The reference page in Markdown: docs/reference/instructions.md.
std::string isa_markdown();

}  // namespace bcai::vm
