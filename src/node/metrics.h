// SPDX-License-Identifier: Apache-2.0
// What the agent counts, for `bcai node status --metrics`. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace bcai::node {

struct Metrics {
  std::atomic<int64_t> leases_taken{0};
  std::atomic<int64_t> attempts_finished{0};
  std::atomic<int64_t> attempts_failed_by_node{0};
  std::atomic<int64_t> results_published{0};
  std::atomic<int64_t> results_fenced{0};
  std::atomic<int64_t> results_refused{0};
  std::atomic<int64_t> log_bytes_shipped{0};
  std::atomic<int64_t> artifact_bytes_uploaded{0};
  std::atomic<int64_t> heartbeats{0};
  std::atomic<int64_t> heartbeats_failed{0};
};

}  // namespace bcai::node
