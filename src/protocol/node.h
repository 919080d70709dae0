// SPDX-License-Identifier: Apache-2.0
// What nodes and the coordinator say to each other. The node always asks: it registers, polls for
// leases, sends heartbeats, logs and results. Times are durations; no clock is compared.
//
//   POST /v1/nodes/challenge           {public_key}                         → {nonce}
//   POST /v1/nodes                     NodeRegistration                     → {node_id, session}
//   POST /v1/nodes/{id}/leases?wait=S  {free: Capacity, held: [attempt_id]} → {leases: [Lease]}
//   POST /v1/nodes/{id}/heartbeat      Heartbeat                            → HeartbeatReply
//   POST /v1/attempts/{id}/logs?epoch=E&offset=N   records                  → {offset}
//   POST /v1/attempts/{id}/result?epoch=E          AttemptResult            → {published}
//   GET, PUT /v1/artifacts/{sha256}; GET /v1/attempts/{id}/secrets?epoch=E (protocol/secret.h)
// All but the first two carry `Authorization: Bearer <session>`; the second carries the operator's
// key (role node) and a signature, by the node's own key, over the nonce.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/decode.h"
#include "base/id.h"
#include "protocol/job.h"
#include "protocol/progress.h"
#include "protocol/state.h"

namespace bcai {

struct Gpu {
  std::string model;
  int64_t memory_bytes = 0;
  std::string driver;
};

// Whether a sandbox limit or border holds here, as shown by the self-test at start.
struct SelfTestLine {
  std::string name;  // "memory", "processes", "network", …
  bool holds = false;
  std::string detail;
};

struct Capabilities {
  std::string hostname;
  std::string version;  // of bcai
  std::string os;       // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;
  std::string architecture;  // "x86_64"
  std::string cpu_model;
  std::vector<std::string> instruction_sets;  // "avx2", "avx512f", …
  int64_t cpu_millicores = 0;                 // offered, not present
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
  int slots = 0;  // attempts at once
  std::vector<Gpu> gpus;
  std::string sandbox_runtime;                              // "runc 1.1.5"
  std::vector<std::string> security_levels = {"standard"};  // and "high" where its self-test holds
  std::vector<SelfTestLine> self_test;
  bool strangers = false;  // may take jobs of other tenants: every line of self_test holds
  std::map<std::string, std::string> packages;  // of the base environment: name → version
  std::string python_version;
  bool environments = false;         // builds environments from requirements
  std::vector<std::string> network;  // hosts that jobs may reach: patterns, protocol/network.h
  std::map<std::string, std::string> labels;
};

struct NodeRegistration {
  std::string name;
  std::array<uint8_t, 32> public_key{};
  std::string nonce;
  std::string signature;  // 64 bytes over "bcai node registration\n" + nonce
  Capabilities capabilities;
};

inline constexpr std::string_view kRegistrationContext = "bcai node registration\n";

struct Capacity {
  int64_t cpu_millicores = 0;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
  int gpu_count = 0;
  int slots = 0;
};

// A job handed to a node for a time. `epoch` grows with every grant of the job and fences all
// earlier ones.
struct Lease {
  AttemptId attempt;
  JobId job;
  int64_t epoch = 0;
  int64_t lost_after_ms = 120'000;  // the node ends its attempt this long (less 15 s) after the
                                    // send time of its last acknowledged heartbeat
  std::string tenant;               // whose job it is: nodes share nothing warm between two
  JobSpec spec;
};

struct HeartbeatAttempt {
  AttemptId attempt;
  int64_t epoch = 0;
  AttemptState state = AttemptState::kLeased;
  Progress progress;
};

struct Heartbeat {
  int64_t sequence = 0;  // of this session; the coordinator ignores an older one
  Capacity free;
  std::vector<HeartbeatAttempt> attempts;  // all that the node holds
};

enum class LeaseAction : uint8_t { kKeep, kCancel, kFence };

struct HeartbeatReply {
  int64_t interval_ms = 5000;  // until the next heartbeat, before jitter
  struct Item {
    AttemptId attempt;
    LeaseAction action = LeaseAction::kKeep;
  };
  std::vector<Item> attempts;
};

json::value encode(const Capabilities& capabilities);
json::value encode(const NodeRegistration& registration);
json::value encode(const Capacity& capacity);
json::value encode(const Lease& lease);
json::value encode(const Heartbeat& heartbeat);
json::value encode(const HeartbeatReply& reply);

Capabilities decode_capabilities(const json::value& value, std::vector<Finding>* findings);
NodeRegistration decode_registration(const json::value& value, std::vector<Finding>* findings);
Capacity decode_capacity(const json::value& value, std::vector<Finding>* findings);
Lease decode_lease(const json::value& value, std::vector<Finding>* findings);
Heartbeat decode_heartbeat(const json::value& value, std::vector<Finding>* findings);
HeartbeatReply decode_heartbeat_reply(const json::value& value, std::vector<Finding>* findings);

}  // namespace bcai
