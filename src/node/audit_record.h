// SPDX-License-Identifier: Apache-2.0
// What the node writes into its audit log of an attempt: facts of the kernel, the engine and the
// lease. What the job or its user chose is escaped and cut. docs/formats/audit.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audit/log.h"
#include "net/proxy.h"
#include "protocol/node.h"
#include "protocol/result.h"
#include "protocol/secret.h"
#include "sandbox/mask.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

// What a job's proxy told, without the values of the job's secrets, which code can ask for as the
// name of a host. From one thread; complete when the proxy is gone.
class Connections {
 public:
  static constexpr size_t kListedMax = 500;

  Connections() = default;
  explicit Connections(const Secrets& secrets);

  // Returns what may be shown of it.
  net::ProxyConnection add(WallTime when, net::ProxyConnection connection);
  json::object encode(const std::vector<std::string>& asked_for) const;

 private:
  sandbox::Mask mask_;
  json::array listed_;
  int64_t unlisted_ = 0;
  int64_t unlisted_bytes_ = 0;
};

struct AuditTo {
  audit::Log* log = nullptr;  // none: nothing is written
  json::object sandbox;       // of this node: what every attempt runs under
};

// Of the node, as the log names it; "" when it does not.
std::string self_test_of(const AuditTo& to);

struct AttemptFactsOfAudit {
  const Lease& lease;
  const sandbox::Report* report = nullptr;  // none: nothing of the job ran
  const Connections& connections;
};

json::object attempt_record(const AuditTo& to, const AttemptFactsOfAudit& facts,
                            const AttemptResult& result);

// Sets result->audit when the record is on disk; else the log says why it is not.
void write_attempt_record(const AuditTo& to, const AttemptFactsOfAudit& facts,
                          AttemptResult* result);

}  // namespace bcai::node
