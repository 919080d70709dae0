// SPDX-License-Identifier: Apache-2.0
// Which job goes to which node: a function of a snapshot. It writes nothing, waits for nothing, and
// gives the same plan for the same snapshot and seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "protocol/job.h"
#include "protocol/node.h"

namespace bcai::coordinator {

struct QueuedJob {
  JobId id;
  KeyId owner;
  const JobSpec* spec = nullptr;
  WallTime queued_at;
  std::vector<NodeId> failed_on;  // nodes that failed it: others are preferred
  int attempts_wanted = 1;        // replicas to place, each on a node of its own, or none of them
  std::vector<NodeId> taken;      // nodes that hold another replica's answer
  int running_of_owner = 0;
};

struct SchedulableNode {
  NodeId id;
  const Capabilities* capabilities = nullptr;
  KeyId operator_key;    // own-tenant jobs need no `strangers`
  Capacity free;         // zero when it does not wait for work now
  bool waiting = false;  // it would take a lease this moment
  bool silent = false;   // not heard of for a while: no retry waits for it
};

struct Placement {
  JobId job;
  NodeId node;
};

struct WaitReason {
  JobId job;
  std::string code;      // "no_node", "no_gpu", "too_few_nodes", "busy", …
  std::string sentence;  // "no node offers a GPU; 2 nodes have 24 GB memory"
};

struct Plan {
  std::vector<Placement> placements;  // those of one job together
  std::vector<WaitReason> waiting;
};

// Jobs in order of fairness among owners, then age. A node without `strangers` takes only jobs
// whose owner is its operator.
Plan plan(const std::vector<QueuedJob>& jobs, const std::vector<SchedulableNode>& nodes,
          uint64_t seed);

}  // namespace bcai::coordinator
