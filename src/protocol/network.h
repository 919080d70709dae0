// SPDX-License-Identifier: Apache-2.0
// Hosts as jobs ask for them and as operators allow them. Pure text; nothing is resolved here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"

namespace bcai {

// "pypi.org:443", lower case, a port of 1 to 65535; "[2001:db8::1]:443".
bool is_host_and_port(std::string_view text);

// A host and port; "*.example.org:443", all below it; "*:443", any public one.
bool is_host_pattern(std::string_view text);

// Does the operator's pattern allow this host and port?
bool allows(std::string_view pattern, std::string_view target);

// Every target is allowed by one of the patterns.
bool allow_all(const std::vector<std::string>& patterns, const std::vector<std::string>& targets);

}  // namespace bcai
