// SPDX-License-Identifier: Apache-2.0
// What is accepted is the one form of its program, in binary and by way of text.
#include <cstdlib>

#include "vm/binary/binary.h"
#include "vm/text/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::vm;  // NOLINT
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<BinaryFinding> refused;
  const auto program = decode(bytes, &refused);
  if (program.has_value() != refused.empty()) std::abort();
  if (!program) return 0;
  const std::string again = encode(*program);
  if (!bytes.starts_with(again)) std::abort();
  std::vector<bcai::Finding> findings;
  const auto from_text = parse_text(print_text(*program), &findings);
  if (!from_text || !same_program(*from_text, *program) || encode(*from_text) != again) {
    std::abort();
  }
  return 0;
}
