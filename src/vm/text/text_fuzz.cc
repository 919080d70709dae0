// SPDX-License-Identifier: Apache-2.0
// What is accepted prints canonically, and the printed text means the same.
#include <cstdlib>

#include "vm/text/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bcai::vm::parse_text;
  std::vector<bcai::Finding> findings;
  const auto program = parse_text({reinterpret_cast<const char*>(data), size}, &findings);
  if (program.has_value() != findings.empty()) std::abort();
  if (!program) return 0;
  const std::string text = bcai::vm::print_text(*program);
  const auto again = parse_text(text, &findings);
  if (!again || !bcai::vm::same_program(*again, *program)) std::abort();
  if (bcai::vm::print_text(*again) != text) std::abort();
  return 0;
}
