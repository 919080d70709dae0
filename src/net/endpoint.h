// SPDX-License-Identifier: Apache-2.0
// Addresses as people write them: where a server listens and what a client speaks to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace bcai::net {

// "host:port", "[host]:port" or "unix:/path".
struct ListenAddress {
  std::string host;
  uint16_t port = 0;
  std::string unix_path;  // when not empty, the other two are unused
};
Result<ListenAddress> parse_listen_address(std::string_view text);

// "http://host[:port]", "https://host[:port]" or "unix:/path"; a path after the port must be "/".
struct Endpoint {
  std::string base_url;  // "http://127.0.0.1:8321", without a slash at the end
  std::string host;
  std::string unix_path;  // when not empty, the connection goes there
};
Result<Endpoint> parse_endpoint(std::string_view text);

// A listening socket, non-blocking, and its address as a client takes it, without the scheme:
// "127.0.0.1:8321" or "/path".
struct ListenSocket {
  UniqueFd fd;
  std::string address;
};
Result<ListenSocket> listen_on(const ListenAddress& address);

// "127.0.0.1:53412", "[::1]:53412" or "unix".
std::string peer_text(int fd);

}  // namespace bcai::net
