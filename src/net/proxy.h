// SPDX-License-Identifier: Apache-2.0
// The only way out of a sandbox: an HTTP proxy on a unix socket that reaches the hosts it is told
// and nothing else. CONNECT, and http:// requests in absolute form, one to a connection. Names are
// resolved here, and connected to is only what was looked at: an address that is not the
// internet's (loopback, private, link-local with the clouds' metadata, …) is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace bcai::net {

struct HostPort {
  std::string host;  // lower case, no dot at the end; an IPv6 address without its brackets
  uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};

// "pypi.org:443", "192.0.2.7:80", "[2001:db8::1]:443".
Result<HostPort> parse_host_port(std::string_view text);
std::string to_text(const HostPort& target);

// False for what is not routed in the internet: IPv4 (also inside IPv6) and IPv6 by the
// special-purpose registries of RFC 6890, and all multicast; and for what is no address.
bool is_public_address(std::string_view address);

struct ProxyConnection {
  HostPort target;
  std::string address;  // connected to; "" when there was no connection
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
  std::string refusal;  // why not, in words of ours alone; "" when it was let through
};

struct ProxyOptions {
  std::vector<HostPort> allow;
  std::vector<HostPort> trusted;  // of these: may have addresses that are not public
  int64_t bytes_max = 0;          // both ways, of all connections together
  int connections_max = 64;       // at once
  Millis idle_timeout{60'000};
  // From the proxy's thread, when a connection has ended or was refused.
  std::function<void(const ProxyConnection&)> on_connection;
};

class Proxy {
 public:
  // Listens at `socket`, whose directory exists, for any user of this machine who can reach it.
  static Result<std::unique_ptr<Proxy>> start(const std::filesystem::path& socket,
                                              ProxyOptions options);
  ~Proxy();  // ends every connection, telling of each

  struct Impl;

 private:
  explicit Proxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::net
