// SPDX-License-Identifier: Apache-2.0
// The JSON texts in the columns of jobs, attempts and nodes, and what they hold. They were valid
// when they were stored: one that is not is kDataLoss. A specification is read whatever has been
// refused since it was admitted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/store/database.h"
#include "protocol/job.h"
#include "protocol/node.h"
#include "protocol/result.h"
#include "protocol/verification.h"

namespace bcai::coordinator {

// Of a word that only we write.
template <typename T>
T stored(Result<T> parsed) {
  BCAI_ASSERT(parsed);
  return *parsed;
}

Result<json::value> json_of(std::string_view text);  // an object; "" is null

std::string spec_text(const JobSpec& spec);  // without the code
Result<JobSpec> spec_of(std::string_view text);
Result<JobSpec> spec_of(std::string_view text, std::string_view code);

// What decides where a job can run, and a hash of it: jobs of equal text fit the same nodes.
std::string needs_text(const JobSpec& spec);
int64_t shape_of(std::string_view needs);
Result<JobSpec> needs_of(std::string_view text);  // hardware, requirements and replicas

Result<Progress> progress_of(std::string_view text);
Result<Capacity> capacity_of(std::string_view text);
Result<AttemptResult> result_of(std::string_view text);
Result<std::optional<Verification>> verification_of(std::string_view text);  // "" is none

// Nodes tell of hundreds of packages, and are asked about at every round of scheduling, so what was
// decoded is kept by digest. Thread-safe.
Result<std::shared_ptr<const Capabilities>> capabilities_at(const store::Statement& row,
                                                            int digest_column, int text_column);

}  // namespace bcai::coordinator
