// SPDX-License-Identifier: Apache-2.0
// Runs one attempt in the sandbox: fetches its files, keeps its output in the spool as it comes,
// and says what became of it.
#pragma once

#include <functional>

#include "node/input_cache.h"
#include "node/lease_table.h"
#include "node/shipper.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

using RunInSandbox = std::function<sandbox::Report(
    const sandbox::Task& task, const std::filesystem::path& artifacts_to,
    const sandbox::Callbacks& callbacks, sandbox::Cancellation& cancellation)>;

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
AttemptResult run_attempt(Attempt& attempt, InputCache& cache, const RunInSandbox& run,
                          const AttemptEvents& events);

}  // namespace bcai::node
