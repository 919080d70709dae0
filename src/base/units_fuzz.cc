// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/id.h"
#include "base/units.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = bcai::parse_bytes(text); bytes && *bytes < 0) std::abort();
  if (const auto duration = bcai::parse_duration(text); duration && duration->count() < 0) {
    std::abort();
  }
  if (const auto id = bcai::JobId::parse(text); id && id->text() != text) std::abort();
  return 0;
}
