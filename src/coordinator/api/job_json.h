// SPDX-License-Identifier: Apache-2.0
// Jobs, nodes and results as the API shows them (schema/openapi.yaml: Job, Node, JobResults).
#pragma once

#include "base/json.h"
#include "coordinator/jobs/queries.h"
#include "protocol/log_record.h"

namespace bcai::coordinator {

// Reads the result, if there is one, from the same snapshot as the record.
json::object job_json(store::Connection& db, const JobRecord& job);
json::object node_json(const NodeRecord& node);
json::object event_json(const EventRecord& event);

json::object results_json(const JobRecord& job, AttemptId attempt, const AttemptResult& result);

// Adds stream, time and text of a record: U+FFFD stands for each byte that is not part of UTF-8,
// and the beginning of a character at the end stays in `pending`, to be joined to what comes next.
// Where the text then differs from what was written, `bytes` has that.
void add_log_record(json::object& out, const LogRecord& record, std::string& pending);

}  // namespace bcai::coordinator
