// SPDX-License-Identifier: Apache-2.0
// The handlers of all resources; routes.cc says which path is whose. A handler decodes, asks the
// rooms below, and answers: nothing is decided here.
#pragma once

#include "coordinator/api/services.h"

namespace bcai::coordinator {

struct Call {
  net::Request request;
  net::Reply reply;
  Principal who;  // of an open route: nobody
};
using ApiHandler = void (*)(Services& services, Call call);

// submit.cc
void submit_job(Services& services, Call call);
// jobs.cc
void list_jobs_page(Services& services, Call call);
void get_job(Services& services, Call call);
void get_results(Services& services, Call call);
void list_events(Services& services, Call call);
void cancel_job(Services& services, Call call);
// logs.cc
void get_logs(Services& services, Call call);
// artifacts.cc
void check_artifact(Services& services, Call call);
void get_artifact(Services& services, Call call);
void put_artifact(Services& services, Call call);
// Removes uploads that nobody goes on with and artifacts that no job names: now, and from time to
// time.
void sweep_uploads(Services& services);
// nodes.cc
void list_nodes_page(Services& services, Call call);
void get_node(Services& services, Call call);
void challenge_node(Services& services, Call call);
void register_node_session(Services& services, Call call);
void poll_leases(Services& services, Call call);
void send_heartbeat(Services& services, Call call);
// attempts.cc
void append_logs(Services& services, Call call);
void send_result(Services& services, Call call);
// secrets.cc
void put_secret(Services& services, Call call);
void list_secrets(Services& services, Call call);
void delete_secret(Services& services, Call call);
void get_attempt_secrets(Services& services, Call call);
// keys.cc
void create_api_key(Services& services, Call call);
void list_api_keys(Services& services, Call call);
void revoke_api_key(Services& services, Call call);
void who_am_i(Services& services, Call call);
// health.cc
void get_health(Services& services, Call call);
void get_readiness(Services& services, Call call);
void get_metrics(Services& services, Call call);
// docs.cc
void get_openapi_yaml(Services& services, Call call);
void get_openapi_json(Services& services, Call call);
void get_docs(Services& services, Call call);

// Reads the job, and answers 404 when there is none or it is not for this caller to see.
std::optional<JobRecord> visible_job(store::Connection& db, const Call& call, JobId job);

}  // namespace bcai::coordinator
