// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/jobs/job_head.h"

namespace bcai::coordinator {
namespace {

std::string verdict(const Result<void>& outcome) {
  return outcome ? "ok" : outcome.error().message;
}

}  // namespace

void get_health(Services& services, Call call) {
  call.reply.send(
      json_response(200, json::object{{"status", "ok"}, {"version", services.version}}));
}

// The database answers once a commit, of nothing, went through; the checker once it has parsed.
void get_readiness(Services& services, Call call) {
  services.database.write(
      [](store::Connection&) -> Result<void> { return {}; },
      [&services, reply = call.reply](Result<void> written) {
        services.checker.check(
            {.code = "0\n", .filename = "ready.py"},
            [reply, written = std::move(written)](const Result<policy::CheckReport>& report) {
              const Result<void> checked = report ? Result<void>() : report.error();
              const bool ready = written && checked;
              reply.send(json_response(
                  ready ? 200 : 503,
                  json::object{{"ready", ready},
                               {"checks", json::object{{"database", verdict(written)},
                                                       {"checker", verdict(checked)}}}}));
            });
      });
}

void get_metrics(Services& services, Call call) {
  services.database.read([&services, reply = call.reply](store::Connection& db) {
    const Result<std::vector<JobCount>> jobs = count_jobs(db);
    if (!jobs) return reply.send(problem_response(jobs.error()));
    net::Response response;
    response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
    if (services.observer.metrics_text) response.body = services.observer.metrics_text(*jobs);
    reply.send(std::move(response));
  });
}

}  // namespace bcai::coordinator
