// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_request.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

#include "base/ascii.h"
#include "net/header.h"

namespace bcai::net {
namespace {

namespace ip = boost::asio::ip;

struct Range4 {
  uint32_t first;
  int bits;
};

// RFC 6890 and its registry, without the blocks for documentation, which name nobody.
constexpr Range4 kNotPublic4[] = {
    {0x00000000, 8},   // this network
    {0x0A000000, 8},   // private
    {0x64400000, 10},  // carriers' own
    {0x7F000000, 8},   // loopback
    {0xA9FE0000, 16},  // link-local, with the clouds' metadata
    {0xAC100000, 12},  // private
    {0xC0000000, 24},  // protocol assignments
    {0xC0586300, 24},  // 6to4 relays
    {0xC0A80000, 16},  // private
    {0xC6120000, 15},  // benchmarks
    {0xE0000000, 4},   // multicast
    {0xF0000000, 4},   // reserved, broadcast
};

bool is_public(const ip::address_v4& address) {
  const uint32_t value = address.to_uint();
  return std::none_of(std::begin(kNotPublic4), std::end(kNotPublic4), [&](const Range4& range) {
    return value >> (32 - range.bits) == range.first >> (32 - range.bits);
  });
}

bool is_public(const ip::address_v6& address) {
  const auto bytes = address.to_bytes();
  const auto inner = [&](size_t at) {
    return is_public(ip::address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]}));
  };
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return inner(2);  // 6to4
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0 && bytes[3] == 0)
    return false;  // Teredo
  // All that is given out is below 2000::/3: not ::1, mapped IPv4, 64:ff9b::, fc00::, fe80::,
  // ff00::.
  return bytes[0] >> 5 == 1;
}

bool is_name_character(char c) {
  return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

bool in_field(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; }

// Headers that are between the client and us. What the target answers ends its connection.
bool is_between_us(std::string_view line) {
  const std::string name = lower(line.substr(0, line.find(':')));
  return name == "connection" || name == "proxy-connection" || name == "keep-alive" ||
         name == "proxy-authorization";
}

// A bare CR or LF, or a line that goes on, is what two readers could read differently.
Result<void> check_headers(std::string_view headers) {
  while (!headers.empty()) {
    const size_t end = headers.find("\r\n");
    const std::string_view field = headers.substr(0, end);
    if (field.empty() && headers.size() == 2) return {};
    if (end == std::string_view::npos || field.starts_with(' ') ||
        field.find(':') == std::string_view::npos ||
        !std::all_of(field.begin(), field.end(), in_field)) {
      break;
    }
    headers.remove_prefix(end + 2);
  }
  return error(ErrorCode::kInvalidArgument, "a header cannot be read");
}

Result<HostPort> target_of(std::string_view text) {
  auto target = parse_host_port(text);
  if (!target) return error(ErrorCode::kInvalidArgument, "its target is no host:port");
  return target;
}

Result<ProxyRequest> absolute_form(std::string_view method, std::string_view target,
                                   std::string_view headers) {
  constexpr std::string_view kScheme = "http://";
  if (!target.starts_with(kScheme)) {
    return error(ErrorCode::kInvalidArgument, "expected CONNECT or an address of http://");
  }
  target.remove_prefix(kScheme.size());
  const size_t slash = std::min(target.find_first_of("/?"), target.size());
  std::string authority(target.substr(0, slash));
  const size_t colon = authority.rfind(':');
  if (colon == std::string::npos || authority.ends_with(']')) authority += ":80";
  ProxyRequest request;
  BCAI_TRY_ASSIGN(request.target, target_of(authority));
  const std::string_view path = target.substr(slash);
  request.head =
      fmt::format("{} {}{} HTTP/1.1\r\n", method, path.starts_with('/') ? "" : "/", path);
  while (!headers.empty()) {
    const size_t end = headers.find("\r\n");
    const std::string_view line = headers.substr(0, end);
    if (line.empty()) break;
    if (!is_between_us(line)) request.head += fmt::format("{}\r\n", line);
    headers.remove_prefix(end + 2);
  }
  request.head += "Connection: close\r\n\r\n";
  return request;
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument, "expected host:port, found '{}'",
                 text.substr(0, 100));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  HostPort out;
  const std::string_view digits = text.substr(colon + 1);
  const char* const digits_end = digits.data() + digits.size();
  const auto [end, failed] = std::from_chars(digits.data(), digits_end, out.port);
  if (failed != std::errc() || end != digits_end || out.port == 0) return wrong();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
    boost::system::error_code no_address;
    (void)ip::make_address_v6(host, no_address);
    if (no_address) return wrong();
  } else if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  out.host = lower(host);
  const bool name = std::all_of(out.host.begin(), out.host.end(), is_name_character) &&
                    !out.host.starts_with('.') && !out.host.ends_with('.') &&
                    out.host.find("..") == std::string::npos;
  if (out.host.empty() || out.host.size() > 253 || (!name && !bracketed)) return wrong();
  return out;
}

std::string to_text(const HostPort& target) {
  const bool bare = target.host.find(':') == std::string::npos;
  return fmt::format("{}{}{}:{}", bare ? "" : "[", target.host, bare ? "" : "]", target.port);
}

bool is_public_address(std::string_view text) {
  boost::system::error_code failed;
  const ip::address address = ip::make_address(text, failed);
  if (failed) return false;
  return address.is_v4() ? is_public(address.to_v4()) : is_public(address.to_v6());
}

Result<ProxyRequest> parse_proxy_request(std::string_view head) {
  const auto no_request = [] {
    return error(ErrorCode::kInvalidArgument, "this is no HTTP/1.1 request");
  };
  const size_t line_end = head.find("\r\n");
  if (!head.ends_with("\r\n\r\n")) return no_request();
  const std::string_view line = head.substr(0, line_end);
  const std::string_view headers = head.substr(line_end + 2);
  BCAI_TRY(check_headers(headers));
  const size_t first = line.find(' ');
  const size_t second = line.rfind(' ');
  if (first == std::string_view::npos || first == second ||
      !line.substr(second + 1).starts_with("HTTP/1.") ||
      !std::all_of(line.begin(), line.end(), in_field)) {
    return no_request();
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (method.empty() || target.find(' ') != std::string_view::npos) return no_request();
  if (method != "CONNECT") return absolute_form(method, target, headers);
  ProxyRequest request{.target = {}, .tunnel = true, .head = {}};
  BCAI_TRY_ASSIGN(request.target, target_of(target));
  return request;
}

}  // namespace bcai::net
