// SPDX-License-Identifier: Apache-2.0
// Versions of Python packages, ordered as PEP 440 says. The local part ("+cpu") is left out of
// account: it names a build, not a version.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bcai::packaging {

struct Version {
  int64_t epoch = 0;
  std::vector<int64_t> release;  // as written: 2.0 has two parts
  int pre_kind = kNoPre;         // 0 a, 1 b, 2 rc
  int64_t pre = 0;
  int64_t post = -1;
  int64_t dev = -1;

  static constexpr int kNoPre = 3;

  static Result<Version> parse(std::string_view text);
  bool is_prerelease() const { return pre_kind != kNoPre || dev >= 0; }
};

std::strong_ordering compare(const Version& a, const Version& b);

// Epoch and release alone, the shorter filled up with zeros.
std::strong_ordering compare_release(const Version& a, const Version& b);

// "2.4.1" is within "2.4": the first parts of the release are those of `prefix`.
bool is_within(const Version& version, const Version& prefix);

}  // namespace bcai::packaging
