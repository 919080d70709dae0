// SPDX-License-Identifier: Apache-2.0
// Jobs, nodes and results as the API shows them (schema/openapi.yaml: Job, Node, JobResults).
#pragma once

#include "base/json.h"
#include "coordinator/jobs/queries.h"

namespace bcai::coordinator {

// Reads the result, if there is one, from the same snapshot as the record.
json::object job_json(store::Connection& db, const JobRecord& job);
json::object node_json(const NodeRecord& node);
json::object event_json(const EventRecord& event);

json::object results_json(const JobRecord& job, AttemptId attempt, const AttemptResult& result);

// Text with U+FFFD for each byte that is not part of UTF-8. What a character lacks at the end of
// `pending + text` stays in `pending`, to be joined to what comes next.
std::string take_utf8(std::string& pending, std::string_view text);

}  // namespace bcai::coordinator
