// SPDX-License-Identifier: Apache-2.0
// A line of any bytes is a record or an error; text of any bytes becomes a record that is read.
#include "audit/record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bcai::audit::parse_line(text);
  (void)bcai::audit::parse_head(text);
  BCAI_ASSERT(bcai::audit::escape(text, 256).size() <= 256);
  const bcai::json::object facts{{"text", bcai::audit::escape(text, 4096)}};
  const auto line = bcai::audit::make_line({}, {}, "fuzz", facts);
  BCAI_ASSERT(line.has_value());
  const std::string_view whole(line->text);
  BCAI_ASSERT(bcai::audit::parse_line(whole.substr(0, whole.size() - 1)).has_value());
  return 0;
}
