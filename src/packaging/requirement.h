// SPDX-License-Identifier: Apache-2.0
// What a job asks of Python packages: "torch[opt]>=2.1,<3; python_version < '3.13'", as PEP 508
// writes it. Addresses, paths and options are refused: a package is asked for by name and version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "packaging/version.h"

namespace bcai::packaging {

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
  std::vector<std::string> extras;
  std::vector<VersionClause> clauses;
  std::string marker;  // what stands after ';', its grammar checked; not evaluated
};

Result<Requirement> parse_requirement(std::string_view text);

// "Foo__Bar.baz" and "foo-bar-baz" are one package (PEP 503).
std::string normalized_package_name(std::string_view name);

// By its version alone: extras and marker are not looked at.
bool satisfies(const Version& installed, const Requirement& requirement);

// A finding at "/requirements/N" for each that is not understood.
void check_requirements(const std::vector<std::string>& requirements,
                        std::vector<Finding>* findings);

}  // namespace bcai::packaging
