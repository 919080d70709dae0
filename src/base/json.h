// SPDX-License-Identifier: Apache-2.0
// JSON in and out, on Boost.JSON. Reading is strict: UTF-8, at most 32 levels, no duplicate keys,
// no number that is not finite.
#pragma once

#include <boost/json.hpp>

#include <string>
#include <string_view>

#include "base/result.h"

namespace bcai {

namespace json = boost::json;

// An error names line and column: "3:14: expected ',' …".
Result<json::value> parse_json(std::string_view text);

// One line, members in their order. Numbers that are not finite become null.
std::string to_text(const json::value& value);

// Two spaces a level, for people.
std::string to_pretty_text(const json::value& value);

inline json::string_view to_json(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view to_std(json::string_view text) { return {text.data(), text.size()}; }

}  // namespace bcai
