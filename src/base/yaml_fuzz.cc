// SPDX-License-Identifier: Apache-2.0
// What is read is JSON, and JSON is YAML: reading it again gives the same value. Every place lies
// in the text, and a refusal says where.
#include <algorithm>

#include "base/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<Finding> findings;
  Result<YamlDocument> document = parse_yaml(text, &findings);
  BCAI_ASSERT(document.has_value() == findings.empty());
  for (const Finding& finding : findings) BCAI_ASSERT(finding.line > 0 && finding.column > 0);
  if (!document) return 0;
  for (const auto& [pointer, place] : document->places) {
    BCAI_ASSERT(place.line > 0 && place.column > 0);
    BCAI_ASSERT(static_cast<size_t>(place.column) <= size + 1);
    BCAI_ASSERT(static_cast<size_t>(place.line) <= size + 1);
  }
  // libyaml takes fewer characters than JSON does, and shorter keys: only a value that is read may
  // differ.
  Result<YamlDocument> again = parse_yaml(to_text(document->value));
  if (again) BCAI_ASSERT(again->value == document->value);
  return 0;
}
