// SPDX-License-Identifier: Apache-2.0
// Runs one attempt in the sandbox: fetches its files, keeps its output in the spool as it comes,
// and says what became of it.
#pragma once

#include <functional>

#include "environment/environment.h"
#include "node/audit_record.h"
#include "node/input_cache.h"
#include "node/lease_table.h"
#include "node/shipper.h"
#include "protocol/secret.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

using RunInSandbox = std::function<sandbox::Report(
    const sandbox::Task& task, const std::filesystem::path& artifacts_to,
    const sandbox::Callbacks& callbacks, sandbox::Cancellation& cancellation)>;

// What a job's requirements or lock ask for. Empty where this node builds no environments.
using PrepareEnvironment = std::function<Result<environment::Environment>(
    const JobSpec& spec, const environment::OnProgress& on_progress,
    sandbox::Cancellation& cancellation)>;

// Opens what the job's network.allow names, writes the way to it into the task, and keeps it open
// for as long as what it returns lives.
// `seen` gets each connection, until that is gone.
using OpenNetwork = std::function<Result<std::shared_ptr<void>>(
    const Lease& lease, sandbox::Task* task, Connections* seen)>;

// The values of the secrets that the job names, asked for as late as can be: they are kept in
// memory for the run alone. kInvalidArgument: the job cannot have them.
using FetchSecrets =
    std::function<Result<Secrets>(const Lease& lease, const std::function<bool()>& given_up)>;

// What this node has for its attempts.
struct Means {
  PrepareEnvironment prepare;  // may be empty
  OpenNetwork open_network;    // may be empty
  FetchSecrets fetch_secrets;  // the agent's own
  RunInSandbox run;
  AuditTo audit;
};

// An attempt from lease to acknowledgement.
struct Attempt {
  Attempt(std::unique_ptr<AttemptSpool> spool, Instant now)
      : shipment(std::move(spool)), received(now) {}
  Shipment shipment;
  sandbox::Cancellation cancellation;
  Instant received;
};

// Called from the thread that runs the attempt.
struct AttemptEvents {
  std::function<void(AttemptState state)> on_state;
  std::function<void(const Progress& progress)> on_progress;
  std::function<EndReason()> end_reason;  // asked when it is over
};

// Blocks until nothing of the attempt runs any more.
AttemptResult run_attempt(Attempt& attempt, InputCache& cache, const Means& means,
                          const AttemptEvents& events);

}  // namespace bcai::node
