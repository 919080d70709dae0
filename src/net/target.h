// SPDX-License-Identifier: Apache-2.0
// The request target of HTTP: percent-encoding, path segments and the query. Reading is strict: a
// bad escape, a NUL byte or bytes that are no UTF-8 after decoding are errors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bcai::net {

struct Target {
  std::string path;                          // decoded
  std::vector<std::string> segments;         // of the path, split before they were decoded
  std::map<std::string, std::string> query;  // decoded, '+' is a space; the last of equal names
};

// "/path?query", or the absolute form "http://host/path?query".
Result<Target> parse_target(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace bcai::net
