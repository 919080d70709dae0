// SPDX-License-Identifier: Apache-2.0
// What a job asks of the node's Python packages: "torch>=2.1,<3", as PEP 508 writes it. Names and
// version specifiers are understood; markers and addresses are refused, because a job runs on the
// packages that a node has. Extras are read and not looked at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "coordinator/scheduler/version.h"

namespace bcai::coordinator {

enum class VersionOperator {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kCompatible
};

struct VersionClause {
  VersionOperator op = VersionOperator::kEqual;
  Version version;
  bool prefix = false;  // "==2.4.*"
};

struct Requirement {
  std::string name;  // normalized
  std::vector<VersionClause> clauses;
};

Result<Requirement> parse_requirement(std::string_view text);

// "Foo__Bar.baz" and "foo-bar-baz" are one package (PEP 503).
std::string normalized_package_name(std::string_view name);

bool satisfies(const Version& installed, const Requirement& requirement);

// A finding at "/requirements/N" for each that is not understood.
void check_requirements(const std::vector<std::string>& requirements,
                        std::vector<Finding>* findings);

}  // namespace bcai::coordinator
