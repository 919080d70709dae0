// SPDX-License-Identifier: Apache-2.0
// What is read is written, and read again to the same text.
#include <cstdlib>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = bcai::parse_json({reinterpret_cast<const char*>(data), size});
  if (!parsed) return 0;
  const std::string text = bcai::to_text(*parsed);
  const auto again = bcai::parse_json(text);
  if (!again || bcai::to_text(*again) != text) std::abort();
  return 0;
}
