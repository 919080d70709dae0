// SPDX-License-Identifier: Apache-2.0
#include "sandbox/gvisor/guest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "base/seal.h"
#include "sandbox/bundle.h"
#include "sandbox/pidfd.h"
#include "sandbox/runtime.h"
#include "sandbox/tree_copy.h"

namespace bcai::sandbox {
namespace {

constexpr int64_t kKernelBytes = 64'000'000;
// A process or thread of the guest's is up to three on this machine, beside gVisor's own. Where
// these end gVisor does: the limit is not met by jobs that keep theirs.
constexpr int64_t kThreadsMin = 1024;
constexpr int64_t kThreadsOfOne = 4;
// Room for what validate() lets through.
constexpr int kSocketBytes = 512 << 10;

Result<SocketPair> make_control() {
  BCAI_TRY_ASSIGN(SocketPair sockets, make_sockets(SOCK_STREAM));
  // A task and its secrets go in whole.
  const int room = kSocketBytes;
  if (fcntl(sockets.ours.get(), F_SETFL, O_NONBLOCK) != 0 ||
      setsockopt(sockets.ours.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) {
    return errno_error(errno, "set up a socket");
  }
  return sockets;
}

// Differs between tasks, and can be lowered from inside.
bool is_task_own(const ResourceLimit& limit) {
  return limit.resource == RLIMIT_NOFILE || limit.resource == RLIMIT_FSIZE ||
         limit.resource == RLIMIT_CPU;
}

json::object make_guest_config(const GuestOptions& options, const Root& root,
                               const BundleContext& context) {
  Task like;
  like.limits = options.limits;
  json::object config = make_config(like, context);
  json::object& process = config["process"].as_object();
  json::array arguments{"/usr/bin/python3", "-I", "-S", "-B", "-u", "/opt/bcai/guest.py"};
  if (options.preload) {
    arguments.emplace_back(root.site_packages_inside());
    arguments.emplace_back(options.overlay.empty() ? "" : kOverlay);
    if (!options.preload->empty()) arguments.emplace_back(*options.preload);
  }
  process["args"] = std::move(arguments);
  json::array environment;
  for (const auto& [name, value] : options.environment)
    environment.emplace_back(name + "=" + value);
  process["env"] = std::move(environment);
  json::array fixed;
  for (const ResourceLimit& limit : resource_limits(options.limits, context.cgroups)) {
    if (is_task_own(limit)) continue;
    fixed.push_back(
        json::object{{"type", limit.name}, {"hard", limit.value}, {"soft", limit.value}});
  }
  process["rlimits"] = std::move(fixed);
  process.erase("oomScoreAdj");  // runsc has it of us
  // gVisor's file server mounts what it serves again, and may take no attribute from a mount of
  // ours. The root is read-only as we attach it.
  config["root"].as_object()["readonly"] = false;
  for (json::value& mount : config["mounts"].as_array()) {
    if (mount.at("destination") == "/in") mount.at("options").as_array().emplace_back("noexec");
  }
  json::object& linux = config["linux"].as_object();
  linux.erase("resources");
  linux.erase("cgroupsPath");
  return config;
}

// "130 7:1024 1:8000000\n": the bytes of the secrets, which follow, and limits.
std::string go_line(const Limits& limits, const CgroupLayout& cgroups, size_t secrets_bytes) {
  std::string out = fmt::format("{}", secrets_bytes);
  for (const ResourceLimit& limit : resource_limits(limits, &cgroups)) {
    if (is_task_own(limit)) out += fmt::format(" {}:{}", limit.resource, limit.value);
  }
  return out + "\n";
}

}  // namespace

Limits with_guest_kernel(const Limits& limits) {
  Limits out = limits;
  out.memory_bytes_max += kKernelBytes;
  out.processes_max = std::max(kThreadsMin, limits.processes_max * kThreadsOfOne);
  return out;
}

Guest::Guest(GuestHost& host, Slots::Lease slot)
    : host_(host),
      slot_(std::move(slot)),
      id_(fmt::format("guest_{}", host.next_number++)),
      bundle_(host.state / "bundles" / id_),
      group_(host.cgroups, host.group + "/" + id_),
      started_(SystemClock().now()) {}

Guest::~Guest() {
  // Process 1 of its pid namespace, which it takes with it.
  if (pidfd_) {
    send_signal(pidfd_.get(), SIGKILL);
    siginfo_t info{};
    while (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
           errno == EINTR) {
    }
  }
  const SystemClock clock;
  group_.kill_until_empty(clock, clock.now() + kKillMax);
  group_.remove();
  remove_tree(bundle_);
}

bool Guest::alive() const {
  pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  return pidfd_ && poll(&ended, 1, 0) == 0;
}

Result<std::unique_ptr<Guest>> Guest::start(GuestHost& host, const Runsc& runsc,
                                            const GuestOptions& options, Millis timeout, int stop) {
  BCAI_TRY_ASSIGN(Slots::Lease slot, host.slots->acquire());
  std::unique_ptr<Guest> guest(new Guest(host, std::move(slot)));
  BCAI_TRY(guest->start(runsc, options, timeout, stop));
  return guest;
}

Result<void> Guest::start(const Runsc& runsc, const GuestOptions& options, Millis timeout,
                          int stop) {
  BCAI_TRY(make_directories(bundle_, 0700));
  BCAI_TRY_ASSIGN(stage_, stage_guest(host_.root, options.overlay, options.proxy, host_.attach_at,
                                      slot_.uid() + 1));
  const BundleContext context{.root = host_.attach_at,
                              .cgroup_path = "",
                              .cgroups = &host_.cgroups,
                              .seccomp = nullptr,
                              .rootless = false,
                              .uid = slot_.uid(),
                              .binds = {{host_.attach_at + "/in", "/in", false},
                                        {host_.attach_at + "/work", "/work", true}}};
  BCAI_TRY(write_file(bundle_ / "config.json",
                      to_text(make_guest_config(options, host_.root, context))));
  BCAI_TRY(group_.create_whole());
  if (options.limited) BCAI_TRY(group_.limit(with_guest_kernel(options.limits)));
  BCAI_TRY_ASSIGN(Pipe out, make_pipe());
  BCAI_TRY_ASSIGN(Pipe err, make_pipe());
  BCAI_TRY_ASSIGN(SocketPair control, make_control());
  // runsc takes its own name from the container's, among all on this machine.
  const std::string name = fmt::format("bcai_{}_{}", getpid(), id_);
  BCAI_TRY_ASSIGN(Child child,
                  spawn({.arguments = runsc_arguments(runsc, bundle_, name, !options.proxy.empty()),
                         .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                         .stdin_fd = control.theirs.get(),
                         .stdout_fd = out.write.get(),
                         .stderr_fd = err.write.get(),
                         .attachments = stage_.attachments,
                         .cgroup_procs = group_.procs_files(),
                         .own_pids = true,
                         .dies_with_this_thread = true,
                         .first_oom_victim = true}));
  pidfd_ = std::move(child.pidfd);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  control_ = std::move(control.ours);
  control.theirs.reset();
  BCAI_TRY(await_ready(timeout, stop));
  return find_kernel();
}

// runsc wrote its number in the pid namespace that it shares with runsc.
Result<void> Guest::find_kernel() {
  BCAI_TRY_ASSIGN(const std::string number, read_file(runsc_pid_file(bundle_)));
  for (const pid_t pid : group_.processes()) {
    UniqueFd pidfd(open_pidfd(pid));
    const auto status = read_file(fmt::format("/proc/{}/status", pid));
    if (!status || !pidfd) continue;
    const size_t at = status->find("\nNSpid:");
    if (at == std::string::npos) break;
    const std::string_view line =
        std::string_view(*status).substr(at + 1, status->find('\n', at + 1) - at - 1);
    if (!line.ends_with("\t" + number)) continue;
    kernel_ = std::move(pidfd);
    return {};
  }
  return error(ErrorCode::kUnavailable, "gVisor's kernel, process {} of its own, is not found",
               number);
}

Result<void> Guest::await_ready(Millis timeout, int stop) {
  pollfd waiting[3] = {{control_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}, {stop, POLLIN, 0}};
  poll(waiting, 3, static_cast<int>(timeout.count()));
  char line[64];
  if (waiting[0].revents != 0 && read(control_.get(), line, sizeof line) > 0) return {};
  if (group_.read().oom_kills > 0) {
    return error(ErrorCode::kResourceExhausted, "gVisor was out of memory as it started");
  }
  if (waiting[1].revents != 0 || waiting[0].revents != 0) return why_not("ended");
  return why_not(fmt::format("was not there within {} ms", timeout.count()));
}

Error Guest::why_not(std::string_view what) const {
  std::string said;
  if (const auto log = read_file(runsc_log(bundle_))) said = last_log_message(*log);
  char text[2000];
  if (said.empty()) {
    const ssize_t got = read(err_.get(), text, sizeof text);
    said = got > 0 ? std::string(text, static_cast<size_t>(got)) : "it said nothing";
  }
  return error(ErrorCode::kUnavailable, "gVisor's sandbox {}: {}", what, said);
}

Result<Watched> Guest::dispatch(const Task& task, const std::string& task_json) {
  BCAI_TRY(group_.limit(with_guest_kernel(task.limits)));
  BCAI_TRY(fill_guest(stage_, task, task_json, slot_.uid() + 1));
  std::string secrets = secrets_text(task);
  std::string line = go_line(task.limits, host_.cgroups, secrets.size()) + secrets;
  const ssize_t sent = send(control_.get(), line.data(), line.size(), MSG_NOSIGNAL);
  const bool whole = std::cmp_equal(sent, line.size());
  wipe(&secrets);
  wipe(&line);
  if (!whole) return why_not("ended before its task");
  return Watched{.runc = {},
                 .first = std::move(pidfd_),
                 .zygote = {},
                 .kernel = std::move(kernel_),
                 .out = std::move(out_),
                 .err = std::move(err_),
                 .control = std::move(control_),
                 .pid_file = {},
                 .log = {},
                 .group = group_};
}

}  // namespace bcai::sandbox
