// SPDX-License-Identifier: Apache-2.0
#include "coordinator/metrics.h"

#include <prometheus/text_serializer.h>

namespace bcai::coordinator {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets& request_buckets() {
  static const Buckets buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                               0.05,   0.1,   0.25,   1,     5,    60};
  return buckets;
}

const Buckets& wait_buckets() {
  static const Buckets buckets{0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 7200, 86400};
  return buckets;
}

}  // namespace

Metrics::Metrics()
    : requests_(BuildCounter()
                    .Name("bcai_http_requests_total")
                    .Help("Requests answered.")
                    .Register(registry_)),
      request_seconds_(BuildHistogram()
                           .Name("bcai_http_request_seconds")
                           .Help("From a request's arrival to its answer, waits included.")
                           .Register(registry_)),
      submissions_(BuildCounter()
                       .Name("bcai_submissions_total")
                       .Help("Submissions: created, repeated, refused.")
                       .Register(registry_)),
      attempts_(BuildCounter()
                    .Name("bcai_attempts_total")
                    .Help("Results of attempts by outcome.")
                    .Register(registry_)),
      leases_(BuildCounter()
                  .Name("bcai_leases_total")
                  .Help("Leases granted.")
                  .Register(registry_)
                  .Add({})),
      queue_wait_(BuildHistogram()
                      .Name("bcai_queue_wait_seconds")
                      .Help("From a job's submission to a lease of it.")
                      .Register(registry_)
                      .Add({}, wait_buckets())),
      jobs_(BuildGauge().Name("bcai_jobs").Help("Jobs by state.").Register(registry_)),
      waiting_nodes_(BuildGauge()
                         .Name("bcai_waiting_nodes")
                         .Help("Nodes that wait for work now.")
                         .Register(registry_)
                         .Add({})),
      connections_(BuildGauge()
                       .Name("bcai_http_connections")
                       .Help("Open connections.")
                       .Register(registry_)
                       .Add({})) {
  for (const char* outcome : {"created", "repeated", "refused"}) {
    submissions_.Add({{"outcome", outcome}});
  }
}

Metrics::Route& Metrics::route(std::string_view method, std::string_view pattern, int status) {
  // A method of a request that no route took is any text.
  const std::string shown_method(pattern.empty() ? "other" : method);
  const std::string shown_route(pattern.empty() ? "none" : pattern);
  std::lock_guard lock(mutex_);
  Route& found = routes_[{shown_method, shown_route, status}];
  if (found.count == nullptr) {
    const prometheus::Labels labels{{"method", shown_method}, {"route", shown_route}};
    prometheus::Labels with_status = labels;
    with_status["status"] = std::to_string(status);
    found.count = &requests_.Add(with_status);
    found.seconds = &request_seconds_.Add(labels, request_buckets());
  }
  return found;
}

void Metrics::request(std::string_view method, std::string_view route_pattern, int status,
                      std::chrono::microseconds took) {
  const Route& metrics = route(method, route_pattern, status);
  metrics.count->Increment();
  metrics.seconds->Observe(static_cast<double>(took.count()) / 1e6);
}

void Metrics::submission(std::string_view outcome) {
  submissions_.Add({{"outcome", std::string(outcome)}}).Increment();
}

void Metrics::attempt(std::string_view outcome) {
  attempts_.Add({{"outcome", std::string(outcome)}}).Increment();
}

void Metrics::lease(Millis waited) {
  leases_.Increment();
  queue_wait_.Observe(static_cast<double>(waited.count()) / 1e3);
}

std::string Metrics::text(const Now& now) {
  constexpr JobState kStates[] = {JobState::kQueued,    JobState::kActive, JobState::kVerifying,
                                  JobState::kSucceeded, JobState::kFailed, JobState::kCancelled,
                                  JobState::kExpired,   JobState::kHeld,   JobState::kLost,
                                  JobState::kDisputed};
  for (const JobState state : kStates) {
    int64_t count = 0;
    for (const JobCount& one : now.jobs) count += one.state == state ? one.count : 0;
    jobs_.Add({{"state", std::string(name(state))}}).Set(static_cast<double>(count));
  }
  waiting_nodes_.Set(static_cast<double>(now.waiting_nodes));
  connections_.Set(static_cast<double>(now.connections));
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace bcai::coordinator
