// SPDX-License-Identifier: Apache-2.0
// The engine's insides; other rooms see sandbox.h alone.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "sandbox/cgroup.h"
#include "sandbox/gvisor/gvisor.h"
#include "sandbox/mask.h"
#include "sandbox/root.h"
#include "sandbox/runtime.h"
#include "sandbox/sandbox.h"
#include "sandbox/slots.h"
#include "sandbox/staging.h"
#include "sandbox/supervise.h"
#include "sandbox/zygote/pool.h"

namespace bcai::sandbox {

// Constant once prepared, but for the slots, which lock for themselves, and the native root.
struct Engine::Impl {
  EngineOptions options;
  UniqueFd lock;
  SystemClock clock;
  Runtime runtime;
  CgroupLayout cgroups;
  std::string group;  // "/bcai/3f2a"
  Root root;
  std::mutex native_mutex;
  std::optional<Root> native_root;  // made for the first native task
  Host host;
  BaseEnvironment environment;
  std::unique_ptr<Slots> slots;  // null when rootless
  bool counting = false;         // denied_calls.h
  json::object seccomp;
  json::object seccomp_internet;        // of tasks with a proxy
  std::unique_ptr<ZygotePool> zygotes;  // null: every task starts cold
  std::unique_ptr<Gvisor> gvisor;       // null: there is no high level, see host.high_lacking

  Result<void> prepare();
  Report run(const Task& task, const std::filesystem::path& artifacts_to,
             const Callbacks& callbacks, Cancellation& cancellation);
  void remove_groups() const;

  Result<void> await_warm(const Task& task);
  Result<HighLevel> high();

 private:
  // What a running task is ended and judged by.
  struct Running {
    const Task& task;
    const Stage& stage;
    const JobGroup& group;
    Instant asked;
    Start start;
    uint32_t uid;
    int64_t processes_max;  // in `group`
    std::function<void()> quarantine;
  };
  Result<void> prepare_zygotes();
  Result<void> prepare_gvisor();
  Report run_high(const Task& task, const std::filesystem::path& artifacts_to,
                  const Callbacks& callbacks, Cancellation& cancellation, Instant asked);
  Report run_cold(const Task& task, const std::filesystem::path& artifacts_to,
                  const Callbacks& callbacks, Cancellation& cancellation, Instant asked);
  // Nothing: the task has not begun, and is to start cold.
  std::optional<Report> run_warm(const Task& task, const std::filesystem::path& artifacts_to,
                                 const Callbacks& callbacks, Cancellation& cancellation,
                                 Instant asked);
  Report conclude(const Running& running, Watched watched,
                  const std::filesystem::path& artifacts_to, const Callbacks& callbacks,
                  Cancellation& cancellation) const;
  Result<Root> root_for(const Task& task);
  Result<Stage> make_stage(const Task& task, const Root& root_of_task,
                           const std::filesystem::path& bundle, uint32_t uid) const;
  Result<Watched> start(const Task& task, const Root& root_of_task, const Stage& stage,
                        const std::filesystem::path& bundle, const JobGroup& job_group,
                        uint32_t uid) const;
  static void gather(const Stage& stage, const std::filesystem::path& artifacts_to,
                     const Limits& limits, const Mask& mask, Report* report);
};

// Artifacts of the probes go below `scratch`, which is removed.
std::vector<SelfTestLine> run_self_test(Engine& engine, const std::filesystem::path& scratch);

using RunTask = std::function<Report(const Task& task, const std::filesystem::path& artifacts_to,
                                     const Callbacks& callbacks)>;
// The same of the high level, whose tasks `run` runs.
std::vector<SelfTestLine> run_high_self_test(const RunTask& run,
                                             const std::filesystem::path& scratch);

}  // namespace bcai::sandbox
