// SPDX-License-Identifier: Apache-2.0
// All routes of the API, ready for the server: each authenticates, checks the role, and calls its
// handler.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "coordinator/api/handlers.h"

namespace bcai::coordinator {

// Who may call.
enum class Access : uint8_t {
  kOpen,      // everyone, without a key
  kAnyKey,    // every key
  kUser,      // owner, member
  kOwner,     //
  kOperator,  // owner, node: keys that register nodes
  kSession,   // a node's session
  kTransfer,  // owner, member, a node's session
};

struct ApiRoute {
  std::string_view method;
  std::string_view pattern;
  Access access = Access::kOwner;
  ApiHandler handler = nullptr;
  size_t body_bytes_max = 0;
};

std::span<const ApiRoute> api_routes();

// `services` must outlive the server.
std::vector<net::Route> make_routes(Services& services);

}  // namespace bcai::coordinator
