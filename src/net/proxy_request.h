// SPDX-License-Identifier: Apache-2.0
// What a client of the proxy asks for. Pure.
#pragma once

#include <string>
#include <string_view>

#include "net/proxy.h"

namespace bcai::net {

struct ProxyRequest {
  HostPort target;
  bool tunnel = false;  // CONNECT
  std::string head;     // of a request in absolute form: what the target is sent instead
};

// `head` ends with the empty line. kInvalidArgument, in words of ours alone.
Result<ProxyRequest> parse_proxy_request(std::string_view head);

}  // namespace bcai::net
