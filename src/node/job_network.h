// SPDX-License-Identifier: Apache-2.0
// The hosts that a job reaches: a proxy for each attempt that asks for some, within what the
// operator allows. Each connection is a line "job.connection" of the node's log.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "node/attempt.h"

namespace bcai::node {

struct NetworkOptions {
  std::vector<std::string> patterns;  // protocol/network.h; a host without '*' may be private
  int64_t bytes_max = 0;              // of one attempt
  std::filesystem::path directory;    // of the proxies' sockets; emptied
};

// kFailedPrecondition when the lease asks for a host that no pattern allows.
Result<OpenNetwork> make_open_network(NetworkOptions options);

}  // namespace bcai::node
