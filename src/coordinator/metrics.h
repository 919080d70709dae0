// SPDX-License-Identifier: Apache-2.0
// What Prometheus is told. Labels come from our own tables only, so their number is bounded.
// Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "base/clock.h"
#include "coordinator/jobs/job_head.h"

namespace bcai::coordinator {

class Metrics {
 public:
  Metrics();

  // route is "" when none matched.
  void request(std::string_view method, std::string_view route, int status,
               std::chrono::microseconds took);
  void submission(std::string_view outcome);
  void attempt(std::string_view outcome);
  void lease(Millis waited);

  // The text format, with these read now.
  struct Now {
    const std::vector<JobCount>& jobs;
    size_t waiting_nodes = 0;
    size_t connections = 0;
  };
  std::string text(const Now& now);

 private:
  struct Route {
    prometheus::Counter* count = nullptr;
    prometheus::Histogram* seconds = nullptr;
  };
  Route& route(std::string_view method, std::string_view pattern, int status);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_seconds_;
  prometheus::Family<prometheus::Counter>& submissions_;
  prometheus::Family<prometheus::Counter>& attempts_;
  prometheus::Counter& leases_;
  prometheus::Histogram& queue_wait_;
  prometheus::Family<prometheus::Gauge>& jobs_;
  prometheus::Gauge& waiting_nodes_;
  prometheus::Gauge& connections_;

  std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, int>, Route> routes_;
};

}  // namespace bcai::coordinator
