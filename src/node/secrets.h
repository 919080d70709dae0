// SPDX-License-Identifier: Apache-2.0
// The secrets of an attempt, from the coordinator. Never written down: neither in the spool nor in
// the log.
#pragma once

#include <functional>

#include "node/link.h"
#include "protocol/secret.h"

namespace bcai::node {

// Asks until there is an answer for good. kInvalidArgument: the job cannot have them. kCancelled.
Result<Secrets> fetch_secrets(Link& link, const Lease& lease,
                              const std::function<bool()>& given_up);

}  // namespace bcai::node
