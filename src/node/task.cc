// SPDX-License-Identifier: Apache-2.0
#include "node/task.h"

#include <algorithm>

namespace bcai::node {
namespace {

// A job that writes this many times what is kept only costs time.
constexpr int64_t kOutputKillFactor = 64;
constexpr int64_t kOutputKillBytesMin = 64'000'000;

}  // namespace

sandbox::Task make_task(const Lease& lease, const std::vector<std::filesystem::path>& sources) {
  const JobSpec& spec = lease.spec;
  BCAI_ASSERT(sources.size() == spec.files.size());
  sandbox::Task task;
  task.id = lease.attempt.text();
  task.code = spec.code;
  task.filename = spec.filename;
  task.arguments = spec.arguments;
  task.environment.assign(spec.environment.begin(), spec.environment.end());
  for (size_t i = 0; i < sources.size(); ++i) {
    task.files.push_back({.path = spec.files[i].path, .source = sources[i]});
  }
  task.imports_restricted = spec.import_policy != "off";
  task.allowed_imports = spec.allowed_imports;
  task.limits.memory_bytes_max = spec.hardware.memory_bytes;
  task.limits.disk_bytes_max = spec.hardware.disk_bytes;
  task.limits.cpu_millicores = spec.hardware.cpu_millicores;
  task.limits.cpu_ms_max = spec.cpu_seconds_max * 1000;
  task.limits.wall_ms_max = spec.timeout_s * 1000;
  task.limits.processes_max = spec.processes_max;
  task.limits.output_bytes_max = spec.output_bytes_max;
  task.limits.output_bytes_kill =
      std::max(kOutputKillBytesMin, spec.output_bytes_max * kOutputKillFactor);
  return task;
}

}  // namespace bcai::node
