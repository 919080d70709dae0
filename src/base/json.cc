// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <boost/json/src.hpp>

#include <charconv>
#include <cmath>
#include <set>

namespace bcai {
namespace {

std::string place(std::string_view text, size_t offset) {
  size_t line = 1;
  size_t column = 1;
  for (char c : text.substr(0, offset)) {
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n' ? 1 : 0;
  }
  return fmt::format("{}:{}", line, column);
}

// Boost.JSON keeps the last of two equal keys and turns 1e400 into infinity; both are refused by
// this handler, which else builds the value as the library's own parser does.
struct StrictHandler {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();
  using code = boost::system::error_code;

  json::value_stack stack;
  std::vector<std::set<std::string>> keys;
  std::string key;
  std::string number;
  std::string problem;

  StrictHandler() { stack.reset(); }

  bool refuse(code& ec, std::string why) {
    problem = std::move(why);
    ec = json::error::syntax;
    return false;
  }
  bool on_document_begin(code&) { return true; }
  bool on_document_end(code&) { return true; }
  bool on_object_begin(code&) {
    keys.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, code&) {
    keys.pop_back();
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(code&) { return true; }
  bool on_array_end(std::size_t n, code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, code&) {
    key.append(part.data(), part.size());
    stack.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t, code& ec) {
    key.append(part.data(), part.size());
    stack.push_key(part);
    if (!keys.back().insert(key).second) return refuse(ec, "duplicate key '" + key + "'");
    key.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, std::size_t, code&) {
    stack.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view part, code&) {
    number.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t value, json::string_view, code&) {
    number.clear();
    stack.push_int64(value);
    return true;
  }
  bool on_uint64(uint64_t value, json::string_view, code&) {
    number.clear();
    stack.push_uint64(value);
    return true;
  }
  // The library's own double may be off by a unit in the last place; the text is read again.
  bool on_double(double value, json::string_view part, code& ec) {
    number.append(part.data(), part.size());
    const auto [end, problem_code] =
        std::from_chars(number.data(), number.data() + number.size(), value);
    const bool whole = end == number.data() + number.size();
    number.clear();
    if (!std::isfinite(value) || !whole) return refuse(ec, "number out of range");
    if (problem_code != std::errc() && std::abs(value) > 1) {
      return refuse(ec, "number out of range");
    }
    stack.push_double(value);
    return true;
  }
  bool on_bool(bool value, code&) {
    stack.push_bool(value);
    return true;
  }
  bool on_null(code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, code&) { return true; }
  bool on_comment(json::string_view, code&) { return true; }
};

void print(const json::value& value, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent) * 2 + 2, ' ');
  const std::string pad_end(static_cast<size_t>(indent) * 2, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{\n";
    size_t left = value.get_object().size();
    for (const auto& member : value.get_object()) {
      out += pad + json::serialize(member.key()) + ": ";
      print(member.value(), indent + 1, out);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += pad_end + "}";
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[\n";
    size_t left = value.get_array().size();
    for (const auto& element : value.get_array()) {
      out += pad;
      print(element, indent + 1, out);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += pad_end + "]";
  } else {
    out += to_text(value);
  }
}

// Boost.JSON writes 1e99999 for infinity, which no reader takes.
json::value without_non_finite(const json::value& value) {
  if (value.is_double() && !std::isfinite(value.get_double())) return nullptr;
  if (value.is_array()) {
    json::array copy;
    for (const auto& element : value.get_array()) copy.push_back(without_non_finite(element));
    return copy;
  }
  if (value.is_object()) {
    json::object copy;
    for (const auto& member : value.get_object()) {
      copy[member.key()] = without_non_finite(member.value());
    }
    return copy;
  }
  return value;
}

bool has_non_finite(const json::value& value) {
  if (value.is_double()) return !std::isfinite(value.get_double());
  if (value.is_array()) {
    for (const auto& element : value.get_array()) {
      if (has_non_finite(element)) return true;
    }
  }
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      if (has_non_finite(member.value())) return true;
    }
  }
  return false;
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = 32;
  json::basic_parser<StrictHandler> parser(options);
  boost::system::error_code ec;
  const size_t consumed = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && consumed < text.size()) {
    return error(ErrorCode::kInvalidArgument, "JSON {}: text after the value",
                 place(text, consumed));
  }
  if (ec) {
    const std::string& problem = parser.handler().problem;
    return error(ErrorCode::kInvalidArgument, "JSON {}: {}", place(text, consumed),
                 problem.empty() ? ec.message() : problem);
  }
  return parser.handler().stack.release();
}

std::string to_text(const json::value& value) {
  return json::serialize(has_non_finite(value) ? without_non_finite(value) : value);
}

std::string to_pretty_text(const json::value& value) {
  std::string out;
  print(value, 0, out);
  return out;
}

}  // namespace bcai
