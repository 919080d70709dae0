// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "sandbox/elf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto links = bcai::sandbox::read_elf({data, size});
  if (links) {
    for (const std::string& name : links->needed) {
      if (name.size() > 4096) abort();
    }
  }
  return 0;
}
