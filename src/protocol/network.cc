// SPDX-License-Identifier: Apache-2.0
#include "protocol/network.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"

namespace bcai {
namespace {

// The host before the port; "" when there is no port.
std::string_view host_in(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535 ||
      digits.starts_with('0')) {
    return {};
  }
  return text.substr(0, colon);
}

bool is_name(std::string_view host) {
  const auto in_name = [](char c) {
    return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  };
  return !host.empty() && host.size() <= 253 && !host.starts_with('.') && !host.ends_with('.') &&
         host.find("..") == std::string_view::npos &&
         std::all_of(host.begin(), host.end(), in_name);
}

bool is_bracketed_address(std::string_view host) {
  return host.size() > 3 && host.starts_with('[') && host.ends_with(']') &&
         std::all_of(host.begin() + 1, host.end() - 1, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
         });
}

}  // namespace

bool is_host_and_port(std::string_view text) {
  const std::string_view host = host_in(text);
  return is_name(host) || is_bracketed_address(host);
}

bool is_host_pattern(std::string_view text) {
  const std::string_view host = host_in(text);
  if (host == "*") return true;
  return host.starts_with("*.") ? is_name(host.substr(2)) : is_host_and_port(text);
}

bool allows(std::string_view pattern, std::string_view target) {
  if (!pattern.starts_with('*')) return pattern == target;
  // "*.example.org:443" allows what ends so and has something before it; "*:443" likewise.
  const std::string_view end = pattern.substr(1);
  return target.size() > end.size() && target.ends_with(end);
}

bool allow_all(const std::vector<std::string>& patterns, const std::vector<std::string>& targets) {
  return std::all_of(targets.begin(), targets.end(), [&](const std::string& target) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return allows(pattern, target); });
  });
}

}  // namespace bcai
