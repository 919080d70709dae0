// SPDX-License-Identifier: Apache-2.0
#include "packaging/requirement.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::packaging;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto requirement = parse_requirement(text);
  if (requirement) {
    BCAI_ASSERT(!requirement->name.empty());
    BCAI_ASSERT(normalized_package_name(requirement->name) == requirement->name);
    // Every version satisfies exactly one of "<", "==", ">" by order; equality is reflexive.
    for (const VersionClause& clause : requirement->clauses) {
      BCAI_ASSERT(compare(clause.version, clause.version) == 0);
      BCAI_ASSERT(is_within(clause.version, clause.version));
      (void)satisfies(clause.version, *requirement);
    }
  }
  const size_t half = size / 2;
  const auto a = Version::parse(text.substr(0, half));
  const auto b = Version::parse(text.substr(half));
  if (a && b) BCAI_ASSERT((compare(*a, *b) < 0) == (compare(*b, *a) > 0));
  return 0;
}
