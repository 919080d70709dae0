// SPDX-License-Identifier: Apache-2.0
// Fed in pieces of a size that the input chooses; no line may be too long or hold a newline.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "sandbox/control_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t piece = size_t{data[0]} + 1;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  bcai::sandbox::ControlLines lines;
  int64_t now = 0;
  while (!text.empty()) {
    lines.feed(text.substr(0, piece), {now++}, [](std::string_view line) {
      if (line.empty() || line.find('\n') != std::string_view::npos) abort();
      if (line.size() > bcai::sandbox::ControlLines::kLineBytesMax) abort();
    });
    text.remove_prefix(std::min(piece, text.size()));
  }
  return 0;
}
