// SPDX-License-Identifier: Apache-2.0
// The order of the steps.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/seal.h"
#include "base/units.h"
#include "sandbox/bundle.h"
#include "sandbox/collect.h"
#include "sandbox/engine.h"
#include "sandbox/inspect.h"
#include "sandbox/masked_callbacks.h"
#include "sandbox/seccomp.h"
#include "sandbox/staging.h"
#include "sandbox/supervise.h"
#include "sandbox/sweep.h"
#include "sandbox/tree_copy.h"
#include "sandbox/zygote/filter.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

// A place that a job's user may walk to, whoever owns the directories above the state directory.
constexpr const char* kRunDirectory = "/run/bcai";
constexpr const char* kAttachAt = "/run/bcai/root";

// Below them lie the ids of tasks that start cold.
constexpr uint32_t kZygoteIdsFrom = 1'000'000;
constexpr int kZygoteSlotsMax = 256;  // on this machine, of all engines

// Room for what validate() lets through.
constexpr int kSecretsPipeBytes = 512 << 10;

// A pipe that holds the task's secrets and ends there: read once, they are nowhere any more. None
// when there are none.
Result<UniqueFd> secrets_pipe(const Task& task) {
  if (task.secrets.empty()) return UniqueFd();
  std::string text = secrets_text(task);
  BCAI_TRY_ASSIGN(Pipe pipe, make_pipe());
  // All of it goes in before there is a reader.
  ssize_t written = -1;
  if (fcntl(pipe.write.get(), F_SETPIPE_SZ, kSecretsPipeBytes) >= kSecretsPipeBytes) {
    written = write(pipe.write.get(), text.data(), text.size());
  }
  const bool whole = std::cmp_equal(written, text.size());
  wipe(&text);
  if (!whole) return errno_error(errno, "put the secrets into a pipe");
  return std::move(pipe.read);
}

// Removes its directory when it goes.
struct ScratchDirectory {
  fs::path path;
  ~ScratchDirectory() { remove_tree(path); }
};

Report node_failure(std::string detail) {
  Report report;
  report.outcome = Outcome::kNodeFailure;
  report.detail = std::move(detail);
  return report;
}

// A guest that was not there to get its task.
Report not_started(const Error& why, const Limits& limits) {
  Report report = node_failure(why.message);
  if (why.code != ErrorCode::kResourceExhausted) return report;
  report.outcome = Outcome::kOutOfMemory;
  report.detail = fmt::format("used more than {} of memory as it started",
                              format_bytes(limits.memory_bytes_max));
  return report;
}

Usage usage_of(const Ending& ending, const Limits& limits) {
  return {.wall_ms = (ending.gone - ending.alive).count(),
          .cpu_ms = ending.counters.cpu_ms,
          .memory_peak_bytes = ending.counters.memory_peak_bytes,
          // Before the limit came into force the kernel counted runc's own threads.
          .processes_peak = std::min(ending.counters.processes_peak, limits.processes_max),
          .output_bytes = ending.output_bytes,
          .output_bytes_dropped = ending.output_bytes_dropped};
}

CollectLimits collect_limits(const Limits& limits) {
  return {.artifacts_max = limits.artifacts_max,
          .artifact_bytes_max = limits.artifact_bytes_max,
          .carried_bytes_max = limits.carried_bytes_max,
          // Directories count too.
          .entries_max = static_cast<int>(std::max<int64_t>(5000, 2 * limits.artifacts_max)),
          .depth_max = limits.artifact_depth_max};
}

Result<UniqueFd> lock_state(const fs::path& state) {
  const fs::path path = state / "lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return error(ErrorCode::kFailedPrecondition,
                 "{} is in use by another process; each node needs a state directory of its own",
                 state.string());
  }
  return fd;
}

}  // namespace

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kFinished: return "finished";
    case Outcome::kOutOfMemory: return "out_of_memory";
    case Outcome::kTimedOut: return "timed_out";
    case Outcome::kOverCpu: return "over_cpu";
    case Outcome::kOverOutput: return "over_output";
    case Outcome::kOverProcesses: return "over_processes";
    case Outcome::kCancelled: return "cancelled";
    case Outcome::kPolicyViolation: return "policy_violation";
    case Outcome::kNodeFailure: break;
  }
  return "node_failure";
}

std::string_view name(SecurityLevel level) {
  return level == SecurityLevel::kHigh ? "high" : "standard";
}

std::string_view name(Start start) {
  switch (start) {
    case Start::kCold: return "cold";
    case Start::kForked: return "forked";
    case Start::kWarm: break;
  }
  return "warm";
}

Cancellation::Cancellation() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BCAI_ASSERT(fd_ >= 0);
}

Cancellation::~Cancellation() { close(fd_); }

void Cancellation::cancel() { eventfd_write(fd_, 1); }

bool Cancellation::cancelled() const {
  // Never read, so that every waiter sees it.
  pollfd event{.fd = fd_, .events = POLLIN, .revents = 0};
  return poll(&event, 1, 0) > 0;
}

Result<void> Engine::Impl::prepare() {
  BCAI_TRY(make_directories(options.state_directory, 0700));
  std::error_code failed;
  options.state_directory = fs::canonical(options.state_directory, failed);
  if (failed) return errno_error(failed.value(), "resolve the state directory");
  BCAI_TRY_ASSIGN(lock, lock_state(options.state_directory));
  for (const char* directory : {"runc", "bundles"}) {
    BCAI_TRY(make_directories(options.state_directory / directory, 0700));
  }
  auto found = find_runtime(options.runc, options.state_directory / "runtime");
  const std::string parent = group_name(options.cgroup_parent, options.state_directory);
  cgroups = prepare_cgroups(parent);
  host = describe_host(found, cgroups);
  if (!found) return Error{ErrorCode::kFailedPrecondition, found.error().message};
  runtime = *std::move(found);
  group = "/" + parent;
  BCAI_TRY(sweep(options.state_directory, cgroups, group));
  BCAI_TRY_ASSIGN(root, prepare_root(options.state_directory, options.python));
  environment = {.python_version = root.interpreter.version, .packages = root.interpreter.packages};
  if (!host.rootless) {
    BCAI_TRY(make_directories(std::string(kRunDirectory) + "/slots"));
    BCAI_TRY(make_directories(kAttachAt));
    slots = std::make_unique<Slots>(std::string(kRunDirectory) + "/slots", options.uid_base,
                                    options.slots_max);
  }
  counting = options.seccomp && can_count_calls() && runtime.counts_calls();
  if (options.seccomp) seccomp = seccomp_profile({.counting = counting});
  if (options.seccomp) seccomp_internet = seccomp_profile({.internet = true, .counting = counting});
  BCAI_TRY(prepare_zygotes());
  BCAI_TRY(prepare_gvisor());
  // runc leaves the job's first process to us, to be reaped and its status read.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return errno_error(errno, "become a subreaper");
  return {};
}

void Engine::Impl::remove_groups() const {
  if (cgroups.mode == CgroupMode::kNone) return;
  JobGroup(cgroups, group).remove();
}

Result<void> Engine::Impl::prepare_zygotes() {
  if (!options.warm_starts || !slots || cgroups.mode == CgroupMode::kNone) return {};
  auto of_zygotes = std::make_unique<ZygoteHost>();
  of_zygotes->state = options.state_directory;
  of_zygotes->runtime = runtime;
  of_zygotes->cgroups = cgroups;
  of_zygotes->group = group;
  of_zygotes->attach_at = kAttachAt;
  of_zygotes->root = root;
  if (options.seccomp) {
    BCAI_TRY_ASSIGN(of_zygotes->filter, make_filter(counting));
  }
  of_zygotes->slots =
      std::make_unique<Slots>(std::string(kRunDirectory) + "/slots",
                              options.uid_base + kZygoteIdsFrom, kZygoteSlotsMax, Zygote::kIds);
  BCAI_TRY(make_directories(options.state_directory / "roots" / "empty"));
  zygotes = std::make_unique<ZygotePool>(std::move(of_zygotes),
                                         static_cast<size_t>(std::max(0, options.waiting_max)));
  return {};
}

Result<void> Engine::Impl::prepare_gvisor() {
  if (!slots || !gvisor_lacking(host.rootless, cgroups).empty()) return {};
  auto of_guests = std::make_unique<GuestHost>();
  of_guests->state = options.state_directory;
  of_guests->cgroups = cgroups;
  of_guests->group = group;
  of_guests->attach_at = kAttachAt;
  of_guests->root = root;
  of_guests->slots = slots.get();
  const RunTask probe = [this](const Task& task, const fs::path& artifacts_to,
                               const Callbacks& callbacks) {
    Cancellation never;
    return run_high(task, artifacts_to, callbacks, never, clock.now());
  };
  gvisor = std::make_unique<Gvisor>(
      options.runsc, std::move(of_guests),
      [this, probe] {
        return run_high_self_test(probe, options.state_directory / "self_test_high");
      },
      options.warm_starts);
  return {};
}

Result<HighLevel> Engine::Impl::high() {
  if (gvisor) return gvisor->level();
  return Error{ErrorCode::kFailedPrecondition, gvisor_lacking(host.rootless, cgroups)};
}

Report Engine::Impl::run(const Task& task, const fs::path& artifacts_to, const Callbacks& callbacks,
                         Cancellation& cancellation) {
  const Instant asked = clock.now();
  if (auto valid = validate(task); !valid) return node_failure(valid.error().message);
  if (cancellation.cancelled()) {
    Report report;
    report.outcome = Outcome::kCancelled;
    report.detail = "cancelled before it started";
    return report;
  }
  if (task.level == SecurityLevel::kHigh) {
    const auto level = high();
    if (!level) return node_failure("no high security level: " + level.error().message);
    Report report = run_high(task, artifacts_to, callbacks, cancellation, asked);
    report.runtime = level->runtime;
    report.self_test = level->self_test;
    return report;
  }
  auto report = run_warm(task, artifacts_to, callbacks, cancellation, asked);
  if (!report) report = run_cold(task, artifacts_to, callbacks, cancellation, asked);
  report->runtime = runtime.text();
  return *std::move(report);
}

Report Engine::Impl::run_high(const Task& task, const fs::path& artifacts_to,
                              const Callbacks& callbacks, Cancellation& cancellation,
                              Instant asked) {
  const std::string task_json = make_task_json(task);
  Start start = Start::kWarm;
  std::unique_ptr<Guest> guest = gvisor->waiting(task);
  auto watched = guest ? guest->dispatch(task, task_json)
                       : Result<Watched>(error(ErrorCode::kNotFound, "no guest waits"));
  if (!watched) {
    if (guest) {
      log_event(LogLevel::kWarn, "sandbox.dispatch_failed",
                {{"task", task.id}, {"why", watched.error().message}});
    }
    start = Start::kCold;
    auto started = gvisor->start(task);
    if (!started) return not_started(started.error(), task.limits);
    guest = *std::move(started);
    watched = guest->dispatch(task, task_json);
    if (!watched) return not_started(watched.error(), task.limits);
  }
  Report report = conclude({.task = task,
                            .stage = guest->stage(),
                            .group = guest->group(),
                            .asked = asked,
                            .start = start,
                            .uid = guest->uid(),
                            .processes_max = with_guest_kernel(task.limits).processes_max,
                            .quarantine = [&] { guest->quarantine(); }},
                           *std::move(watched), artifacts_to, callbacks, cancellation);
  if (report.outcome == Outcome::kOverProcesses) {
    report.detail += " of this machine's, where each of gVisor's takes up to three";
  }
  return report;
}

Report Engine::Impl::run_cold(const Task& task, const fs::path& artifacts_to,
                              const Callbacks& callbacks, Cancellation& cancellation,
                              Instant asked) {
  std::optional<Slots::Lease> slot;
  if (slots) {
    auto lease = slots->acquire();
    if (!lease) return node_failure(lease.error().message);
    slot.emplace(*std::move(lease));
  }
  const JobGroup job_group(cgroups, group + "/" + task.id);
  const ScratchDirectory bundle{options.state_directory / "bundles" / task.id};
  const ScratchDirectory container{options.state_directory / "runc" / task.id};
  const auto root_of_task = root_for(task);
  if (!root_of_task) return node_failure(root_of_task.error().message);
  const uint32_t uid = slot ? slot->uid() : geteuid();
  auto stage = make_stage(task, *root_of_task, bundle.path, uid);
  if (!stage) return node_failure(stage.error().message);
  auto watched = start(task, *root_of_task, *stage, bundle.path, job_group, uid);
  if (!watched) {
    job_group.remove();
    return node_failure(watched.error().message);
  }
  return conclude({.task = task,
                   .stage = *stage,
                   .group = job_group,
                   .asked = asked,
                   .start = Start::kCold,
                   .uid = host.rootless ? uid : uid + 1,
                   .processes_max = task.limits.processes_max,
                   .quarantine =
                       [&] {
                         if (slot) slot->quarantine();
                       }},
                  *std::move(watched), artifacts_to, callbacks, cancellation);
}

std::optional<Report> Engine::Impl::run_warm(const Task& task, const fs::path& artifacts_to,
                                             const Callbacks& callbacks, Cancellation& cancellation,
                                             Instant asked) {
  const auto key = zygotes ? zygote_key(task, root.interpreter) : std::nullopt;
  auto taken = key ? zygotes->take(*key) : std::nullopt;
  if (!taken) return std::nullopt;
  ZygoteChild& child = taken->child;
  Stage stage;
  Watched watched{.group = child.group};
  const auto begin = [&]() -> Result<void> {
    BCAI_TRY_ASSIGN(stage, stage_child(task, make_task_json(task), child.uid));
    BCAI_TRY_ASSIGN(Pipe out, make_pipe());
    BCAI_TRY_ASSIGN(Pipe err, make_pipe());
    BCAI_TRY_ASSIGN(Pipe control, make_pipe());
    BCAI_TRY_ASSIGN(const UniqueFd secrets, secrets_pipe(task));
    BCAI_TRY(dispatch(child, stage, task.limits, cgroups,
                      {out.write.get(), err.write.get(), control.write.get(), secrets.get()}));
    watched.out = std::move(out.read);
    watched.err = std::move(err.read);
    watched.control = std::move(control.read);
    return {};
  };
  if (auto begun = begin(); !begun) {
    log_event(LogLevel::kWarn, "sandbox.dispatch_failed",
              {{"task", task.id}, {"why", begun.error().message}});
    discard(std::move(child));
    return std::nullopt;
  }
  watched.first = std::move(child.pidfd);
  watched.zygote = std::move(child.socket);
  watched.calls = std::move(child.calls);
  return conclude({.task = task,
                   .stage = stage,
                   .group = child.group,
                   .asked = asked,
                   .start = taken->start,
                   .uid = child.uid,
                   .processes_max = task.limits.processes_max,
                   .quarantine = [&] { child.zygote->quarantine(); }},
                  std::move(watched), artifacts_to, callbacks, cancellation);
}

Report Engine::Impl::conclude(const Running& running, Watched watched, const fs::path& artifacts_to,
                              const Callbacks& callbacks, Cancellation& cancellation) const {
  Limits limits = running.task.limits;
  limits.processes_max = running.processes_max;
  const Mask mask(running.task.secrets);
  MaskedCallbacks masked(mask, callbacks);
  const Ending ending = supervise(std::move(watched), limits, masked.callbacks(), cancellation);
  masked.finish();
  Verdict verdict = judge(ending, limits);
  Report report;
  report.outcome = verdict.outcome;
  report.exit_code = verdict.exit_code;
  report.detail = std::move(verdict.detail);
  report.usage = usage_of(ending, limits);
  report.start = running.start;
  report.uid = running.uid;
  report.start_ms = (ending.alive - running.asked).count();
  report.run_ms = (ending.gone - ending.alive).count();
  report.overtime_ms = ending.overtime.count();
  report.denied_calls = ending.denied_calls;
  if (running.group.populated()) {
    running.quarantine();
    log_event(LogLevel::kError, "sandbox.unkillable", {{"task", running.task.id}});
  } else if (ending.ran) {
    gather(running.stage, artifacts_to, limits, mask, &report);
  }
  running.group.remove();
  report.collect_ms = (clock.now() - ending.gone).count();
  return report;
}

Result<void> Engine::Impl::await_warm(const Task& task) {
  if (task.level == SecurityLevel::kHigh) {
    BCAI_TRY_ASSIGN(const HighLevel level, high());
    return gvisor->await(task);
  }
  const auto key = zygotes ? zygote_key(task, root.interpreter) : std::nullopt;
  if (!key) return error(ErrorCode::kUnavailable, "this task starts cold on this machine");
  return zygotes->await(*key);
}

Result<Root> Engine::Impl::root_for(const Task& task) {
  if (task.native.empty()) return root;
  if (options.native_program.empty()) {
    return error(ErrorCode::kFailedPrecondition, "this engine has no native program to run");
  }
  std::lock_guard hold(native_mutex);
  if (!native_root) {
    BCAI_TRY_ASSIGN(native_root,
                    prepare_native_root(options.state_directory, options.native_program));
  }
  return *native_root;
}

Result<Stage> Engine::Impl::make_stage(const Task& task, const Root& root_of_task,
                                       const fs::path& bundle, uint32_t uid) const {
  BCAI_TRY(make_directories(bundle, 0700));
  const std::string task_json = make_task_json(task);
  if (host.rootless) return stage_directories(task, root_of_task, task_json, bundle);
  return stage_mounts(task, root_of_task, task_json, kAttachAt, uid + 1);
}

Result<Watched> Engine::Impl::start(const Task& task, const Root& root_of_task, const Stage& stage,
                                    const fs::path& bundle, const JobGroup& job_group,
                                    uint32_t uid) const {
  const json::object& profile = task.proxy.empty() ? seccomp : seccomp_internet;
  std::optional<ListenerSocket> listener;
  if (counting) {
    BCAI_TRY_ASSIGN(listener, ListenerSocket::make(bundle));
  }
  const BundleContext context{.root = host.rootless ? root_of_task.tree.string() : kAttachAt,
                              .cgroup_path = job_group.runc_path(),
                              .cgroups = &cgroups,
                              .seccomp = options.seccomp ? &profile : nullptr,
                              .seccomp_listener = listener ? listener->path() : "",
                              .rootless = host.rootless,
                              .uid = uid,
                              .binds = stage.binds};
  BCAI_TRY(write_file(bundle / "config.json", to_text(make_config(task, context))));
  BCAI_TRY(job_group.create());
  BCAI_TRY_ASSIGN(Pipe out, make_pipe());
  BCAI_TRY_ASSIGN(Pipe err, make_pipe());
  BCAI_TRY_ASSIGN(Pipe control, make_pipe());
  BCAI_TRY_ASSIGN(const UniqueFd secrets, secrets_pipe(task));
  const RunPaths paths{.state = options.state_directory / "runc",
                       .bundle = bundle,
                       .pid_file = bundle / "pid",
                       .log = bundle / "log"};
  BCAI_TRY_ASSIGN(Child runc,
                  spawn({.arguments = run_arguments(runtime, paths, task.id, host.rootless),
                         .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                         .stdin_fd = secrets.get(),
                         .stdout_fd = out.write.get(),
                         .stderr_fd = err.write.get(),
                         .third_fd = control.write.get(),
                         .attachments = stage.attachments,
                         .cgroup_procs = job_group.runtime_procs_files(),
                         .dies_with_this_thread = true,
                         .first_oom_victim = true}));
  return Watched{.runc = std::move(runc),
                 .out = std::move(out.read),
                 .err = std::move(err.read),
                 .control = std::move(control.read),
                 .pid_file = paths.pid_file,
                 .log = paths.log,
                 .listener = std::move(listener),
                 .calls = UniqueFd(),
                 .group = job_group};
}

void Engine::Impl::gather(const Stage& stage, const fs::path& artifacts_to, const Limits& limits,
                          const Mask& mask, Report* report) {
  auto collected = collect(stage.work.get(), artifacts_to, collect_limits(limits), mask);
  if (!collected) {
    report->outcome = Outcome::kNodeFailure;
    report->detail = "the results could not be collected: " + collected.error().message;
    return;
  }
  report->outputs_json = std::move(collected->outputs_json);
  report->artifacts = std::move(collected->artifacts);
  report->left_out = std::move(collected->left_out);
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() {
  impl_->zygotes.reset();
  impl_->gvisor.reset();
  impl_->remove_groups();
}

Result<std::unique_ptr<Engine>> Engine::make(EngineOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  BCAI_TRY(impl->prepare());
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Report Engine::run(const Task& task, const fs::path& artifacts_to, const Callbacks& callbacks,
                   Cancellation& cancellation) {
  return impl_->run(task, artifacts_to, callbacks, cancellation);
}

Result<void> Engine::await_warm(const Task& task) { return impl_->await_warm(task); }

std::vector<SelfTestLine> Engine::self_test() {
  return run_self_test(*this, impl_->options.state_directory / "self_test");
}

Result<HighLevel> Engine::high() { return impl_->high(); }

const Host& Engine::host() const { return impl_->host; }

const BaseEnvironment& Engine::environment() const { return impl_->environment; }

}  // namespace bcai::sandbox
