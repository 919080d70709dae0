// SPDX-License-Identifier: Apache-2.0
// The coordinator that a command talks to: the configured one; without one, the record of what ran
// on this machine, opened for the time of the command.
#pragma once

#include <memory>
#include <string>

#include "cli/api_client.h"
#include "cli/context.h"
#include "cli/one_machine.h"

namespace bcai::cli {

struct Connected {
  ApiClient api;
  std::unique_ptr<OneMachine> machine;  // behind it, when it is in this process
};

// The connection's flags into the settings.
void apply(const Connection& connection, Settings& settings);

// Never in this process. kInvalidArgument without an endpoint.
Result<ApiClient> connect_to_network(const Connection& connection, Context& context);

// Without an endpoint: to the record of the runs on this machine. kInvalidArgument when there is
// none and `make` is false.
Result<Connected> connect(const Connection& connection, Context& context, bool make = false);

// `last` becomes the newest job's id; other texts stay.
Result<std::string> resolve_job(ApiClient& api, const std::string& job);

}  // namespace bcai::cli
