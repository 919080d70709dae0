// SPDX-License-Identifier: Apache-2.0
#include "net/target.h"

#include <cstdint>
#include <optional>

#include "base/ascii.h"
#include "net/client.h"

namespace bcai::net {
namespace {

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error bad_target(std::string_view why) {
  return error(ErrorCode::kInvalidArgument, "request target: {}", why);
}

enum class Plus { kLiteral, kSpace };

Result<std::string> decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return bad_target("'%' is not followed by two hexadecimal digits");
      c = static_cast<char>(high << 4 | low);
      if (c == '\0') return bad_target("%00 is not allowed");
      i += 2;
    } else if (c == '+' && plus == Plus::kSpace) {
      c = ' ';
    }
    out += c;
  }
  if (!is_utf8(out)) return bad_target("the decoded text is not UTF-8");
  return out;
}

// The bytes that follow a first byte of UTF-8, and the range of the first of them.
struct Lead {
  int following;
  uint8_t low;
  uint8_t high;
};
std::optional<Lead> lead_of(uint8_t byte) {
  if (byte < 0x80) return Lead{0, 0, 0};
  if (byte < 0xc2) return {};
  if (byte < 0xe0) return Lead{1, 0x80, 0xbf};
  if (byte == 0xe0) return Lead{2, 0xa0, 0xbf};
  if (byte == 0xed) return Lead{2, 0x80, 0x9f};
  if (byte < 0xf0) return Lead{2, 0x80, 0xbf};
  if (byte == 0xf0) return Lead{3, 0x90, 0xbf};
  if (byte < 0xf4) return Lead{3, 0x80, 0xbf};
  if (byte == 0xf4) return Lead{3, 0x80, 0x8f};
  return {};
}

Result<void> parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    BCAI_TRY_ASSIGN(std::string name, decode(pair.substr(0, equals), Plus::kSpace));
    std::string value;
    if (equals != std::string_view::npos) {
      BCAI_TRY_ASSIGN(value, decode(pair.substr(equals + 1), Plus::kSpace));
    }
    query.insert_or_assign(std::move(name), std::move(value));
  }
  return {};
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = lead_of(static_cast<uint8_t>(text[i]));
    if (!lead) return false;
    uint8_t low = lead->low;
    uint8_t high = lead->high;
    for (int n = 0; n < lead->following; ++n) {
      if (++i == text.size()) return false;
      const auto byte = static_cast<uint8_t>(text[i]);
      if (byte < low || byte > high) return false;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}

Result<Target> parse_target(std::string_view text) {
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f || c == '#') return bad_target("a character is not allowed in it");
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const size_t path = text.find_first_of("/?", scheme.size());
    text = path == std::string_view::npos ? "/" : text.substr(path);
  }
  if (!text.starts_with('/')) return bad_target("it must begin with '/'");
  Target target;
  const size_t mark = text.find('?');
  if (mark != std::string_view::npos) {
    BCAI_TRY(parse_query(text.substr(mark + 1), target.query));
  }
  std::string_view rest = text.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  while (true) {
    const size_t slash = rest.find('/');
    BCAI_TRY_ASSIGN(std::string segment, decode(rest.substr(0, slash), Plus::kLiteral));
    target.path += '/';
    target.path += segment;
    target.segments.push_back(std::move(segment));
    if (slash == std::string_view::npos) break;
    rest = rest.substr(slash + 1);
  }
  return target;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool unreserved = is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

}  // namespace bcai::net
