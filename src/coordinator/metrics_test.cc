// SPDX-License-Identifier: Apache-2.0
#include "coordinator/metrics.h"

#include <gtest/gtest.h>

namespace bcai::coordinator {
namespace {

TEST(MetricsTest, CountsUnderBoundedLabels) {
  Metrics metrics;
  metrics.request("GET", "/v1/jobs/{id}", 200, std::chrono::microseconds(1500));
  metrics.request("GET", "/v1/jobs/{id}", 200, std::chrono::microseconds(1500));
  metrics.request("BREW", "", 405, std::chrono::microseconds(10));
  metrics.request("STEW", "", 405, std::chrono::microseconds(10));
  metrics.submission("created");
  metrics.lease(Millis(20));
  const std::vector<JobCount> jobs{{JobState::kQueued, 3}};
  const std::string text = metrics.text({.jobs = jobs, .waiting_nodes = 2, .connections = 5});
  const auto has = [&](std::string_view line) { return text.find(line) != std::string::npos; };
  EXPECT_TRUE(has(R"(bcai_http_requests_total{method="GET",route="/v1/jobs/{id}",status="200"} 2)"))
      << text;
  EXPECT_TRUE(has(R"(bcai_http_requests_total{method="other",route="none",status="405"} 2)"));
  EXPECT_FALSE(has("BREW"));
  EXPECT_TRUE(has(R"(bcai_jobs{state="queued"} 3)"));
  EXPECT_TRUE(has(R"(bcai_jobs{state="succeeded"} 0)"));
  EXPECT_TRUE(has(R"(bcai_submissions_total{outcome="created"} 1)"));
  EXPECT_TRUE(has("bcai_queue_wait_seconds_count 1"));
  EXPECT_TRUE(has("bcai_waiting_nodes 2"));
}

}  // namespace
}  // namespace bcai::coordinator
