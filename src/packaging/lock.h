// SPDX-License-Identifier: Apache-2.0
// What requirements came to: the wheels that were added to a base environment, each with its
// SHA-256, and the packages of the base that they stand on. The same lock gives the same files.
// The JSON form is described in docs/formats/environment_lock.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"

namespace bcai::packaging {

struct LockedPackage {
  std::string name;  // normalized
  std::string version;
  std::string wheel;  // file name: "six-1.17.0-py2.py3-none-any.whl"
  Sha256 sha256;      // of the wheel
  int64_t bytes = 0;
  bool operator==(const LockedPackage&) const = default;
};

struct Lock {
  std::string python;                       // "3.11"
  std::string platform;                     // "linux_x86_64"
  std::map<std::string, std::string> base;  // normalized name → version
  std::vector<LockedPackage> packages;      // by name
  bool operator==(const Lock&) const = default;
};

json::object encode(const Lock& lock);
Lock decode_lock(const json::value& value, std::string pointer, std::vector<Finding>* findings);

// Of the canonical JSON form.
Sha256 digest(const Lock& lock);

// Letters, digits and "._+-!", ".whl" at the end, five or six parts, the first two of which are
// this package's name and version (PEP 427).
bool is_wheel_of(std::string_view file_name, std::string_view name, std::string_view version);

}  // namespace bcai::packaging
