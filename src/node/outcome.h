// SPDX-License-Identifier: Apache-2.0
// From what the sandbox saw to what is sent. The outcome and the numbers are the kernel's; outputs,
// tensors and the error are the job's own words, cut to what the coordinator takes.
#pragma once

#include <string>
#include <string_view>

#include "node/lease_table.h"
#include "protocol/result.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

struct AttemptFacts {
  EndReason ended = EndReason::kNone;  // what the node asked for
  int64_t staging_ms = 0;
  int64_t log_bytes = 0;
  std::string self_test;  // that the node passed, as its audit log names it
};

AttemptResult make_result(const JobSpec& spec, const sandbox::Report& report,
                          const AttemptFacts& facts);

// Says nothing about the job; the coordinator gives it to another node.
AttemptResult make_node_failure(std::string_view detail, int64_t log_bytes);

// The job asked for packages or secrets that it cannot have; `why` is cut.
AttemptResult make_environment_failure(std::string_view why, const AttemptFacts& facts);

// Reads the runner's outputs.json into outputs, tensors, left_out and error.
void read_outputs(std::string_view outputs_json, AttemptResult* result);

// One line from inside: {"progress": …} or {"metric": …}. True when `progress` changed.
bool apply_message(std::string_view line, Progress* progress);

}  // namespace bcai::node
