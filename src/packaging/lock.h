// SPDX-License-Identifier: Apache-2.0
// What requirements came to: the wheels that were added to a base environment, each with its
// SHA-256, and the packages of the base that they stand on. The same lock gives the same files. Of
// a wheel that was built from source it says from what, and with what. The JSON form is described
// in docs/formats/environment_lock.md.
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

// What the wheel of a package was built from: its source distribution, by wheels of others.
struct LockedSource {
  std::string name;  // of the package
  std::string file;  // "six-1.17.0.tar.gz"
  Sha256 sha256;
  int64_t bytes = 0;
  std::vector<LockedPackage> build_requirements;  // by name
  bool operator==(const LockedSource&) const = default;
};

struct Lock {
  std::string python;                       // "3.11"
  std::string platform;                     // "linux_x86_64"
  std::map<std::string, std::string> base;  // normalized name → version
  std::vector<LockedPackage> packages;      // by name
  std::vector<LockedSource> sources;        // by name; of those packages that are built here
  bool operator==(const Lock&) const = default;
};

json::object encode(const LockedPackage& package);
LockedPackage decode_package(const json::value& value, std::string pointer,
                             std::vector<Finding>* findings);

json::object encode(const Lock& lock);
Lock decode_lock(const json::value& value, std::string pointer, std::vector<Finding>* findings);

// Of the canonical JSON form.
Sha256 digest(const Lock& lock);

// Letters, digits and "._+-!", ".whl" at the end, five or six parts, the first two of which are
// this package's name and version (PEP 427).
bool is_wheel_of(std::string_view file_name, std::string_view name, std::string_view version);

// Whether a wheel with these tags runs on CPython `python` ("3.11") of `platform` ("linux_x86_64"),
// by its file's name. For wheels built here: the platforms of other builders (manylinux) are none.
bool is_wheel_for(std::string_view file_name, std::string_view python, std::string_view platform);

// The version of "name-version.tar.gz" (PEP 625), "" when it is no source distribution of that
// name.
std::string_view source_version(std::string_view file_name, std::string_view name);

}  // namespace bcai::packaging
