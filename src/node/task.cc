// SPDX-License-Identifier: Apache-2.0
#include "node/task.h"

#include <algorithm>
#include <set>

namespace bcai::node {
namespace {

// A job that writes this many times what is kept only costs time.
constexpr int64_t kOutputKillFactor = 64;
constexpr int64_t kOutputKillBytesMin = 64'000'000;
// Of a native program's results, which are all of it.
constexpr int64_t kCarriedBytesMax = 1'000'000'000;

std::string in_work(const std::string& path) { return "/work/" + path; }

// `bcai vm run` on the job's files. What is neither the program nor an input are weights: they lie
// where the store of weights looks for them, under their digests.
void make_native(const JobSpec& spec, const std::vector<std::filesystem::path>& sources,
                 sandbox::Task* task) {
  const auto is_input = [&](const std::string& path) {
    return std::any_of(spec.inputs.begin(), spec.inputs.end(),
                       [&](const auto& input) { return input.second == path; });
  };
  std::set<Sha256> weights;
  for (size_t i = 0; i < sources.size(); ++i) {
    const InputFile& file = spec.files[i];
    if (file.path == spec.program || is_input(file.path)) {
      task->files.push_back({.path = file.path, .source = sources[i]});
    } else if (weights.insert(file.sha256).second) {
      task->files.push_back({.path = ".bcai/weights/" + file.sha256.text(), .source = sources[i]});
    }
  }
  const int64_t threads = std::max<int64_t>(1, spec.hardware.cpu_millicores / 1000);
  task->native = {"vm",
                  "run",
                  in_work(spec.program),
                  "--as-job",
                  "/work",
                  "--threads",
                  fmt::format("{}", std::min<int64_t>(threads, 256))};
  for (const auto& [name, path] : spec.inputs) {
    task->native.push_back("--input");
    task->native.push_back(name + "=" + in_work(path));
  }
  // Replicas are compared instruction by instruction when they differ.
  if (spec.replicas > 1) task->native.emplace_back("--trace");
  task->environment = {{"BCAI_DATA_DIR", "/work/.bcai"}};
  task->limits.carried_bytes_max = kCarriedBytesMax;
}

}  // namespace

sandbox::Task make_task(const Lease& lease, const std::vector<std::filesystem::path>& sources) {
  const JobSpec& spec = lease.spec;
  BCAI_ASSERT(sources.size() == spec.files.size());
  sandbox::Task task;
  task.id = lease.attempt.text();
  task.tenant = lease.tenant;
  task.level = spec.security_level == "high" ? sandbox::SecurityLevel::kHigh
                                             : sandbox::SecurityLevel::kStandard;
  task.code = spec.code;
  task.filename = spec.filename;
  task.arguments = spec.arguments;
  task.environment.assign(spec.environment.begin(), spec.environment.end());
  if (spec.program.empty()) {
    for (size_t i = 0; i < sources.size(); ++i) {
      task.files.push_back({.path = spec.files[i].path, .source = sources[i]});
    }
  } else {
    make_native(spec, sources, &task);
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
