// SPDX-License-Identifier: Apache-2.0
// Takes leases, runs them, reports. Threads: one polls for leases, one sends heartbeats, one ends
// what must end by time and writes status.json; one runs and one ships each attempt.
#pragma once

#include <filesystem>
#include <memory>

#include "node/attempt.h"
#include "node/link.h"
#include "node/node.h"

namespace bcai::node {

struct AgentOptions {
  LinkOptions link;
  Means means;
  std::filesystem::path data_directory;
  Capacity offered;
  int64_t cache_bytes_max = 0;
  Millis poll_wait{30'000};
  Millis stop_grace{2'000};  // for the last results to go out
};

class Agent {
 public:
  // Recovers the spool, registers and begins. When the coordinator cannot be reached it keeps
  // trying; kUnauthenticated, kPermissionDenied and kInvalidArgument are its refusal.
  static Result<std::unique_ptr<Agent>> start(AgentOptions options);
  ~Agent();

  void stop();
  Node::Status status() const;

  struct Impl;

 private:
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::node
