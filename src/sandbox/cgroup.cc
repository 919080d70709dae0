// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <thread>

#include "base/file.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

Result<void> put(const fs::path& path, std::string_view value) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  if (write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, fmt::format("write \"{}\" to {}", value, path.string()));
  }
  return {};
}

bool is_there(const fs::path& path) { return access(path.c_str(), F_OK) == 0; }

// Every controller we want must be handed down from `directory` to what is made below it.
Result<void> hand_down(const fs::path& directory) {
  const std::string offered = text_of(directory / "cgroup.controllers");
  const std::string given = text_of(directory / "cgroup.subtree_control");
  for (const char* controller : {"memory", "pids", "cpu"}) {
    if (!has_word(offered, controller) || has_word(given, controller)) continue;
    BCAI_TRY(put(directory / "cgroup.subtree_control", std::string("+") + controller));
  }
  return {};
}

// A group with processes of its own may not hand controllers down: we step aside into a child.
Result<void> step_aside(const fs::path& own) {
  const fs::path aside = own / "bcai_supervisor";
  if (mkdir(aside.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno_error(errno, "make the control group " + aside.string());
  }
  return put(aside / "cgroup.procs", std::to_string(getpid()));
}

Result<void> make_v2_parent(CgroupLayout* layout, const std::string& own,
                            const std::string& parent) {
  const fs::path root = layout->mounts.v2;
  const auto below = [&](const std::string& base) -> Result<void> {
    const fs::path directory = fs::path(root.string() + base);
    if (!hand_down(directory) && base == own) BCAI_TRY(step_aside(directory));
    BCAI_TRY(hand_down(directory));
    const fs::path made = directory / parent;
    if (mkdir(made.c_str(), 0755) != 0 && errno != EEXIST) {
      return errno_error(errno, "make the control group " + made.string());
    }
    BCAI_TRY(hand_down(made));
    layout->base = base == "/" ? "" : base;
    return {};
  };
  if (geteuid() == 0 && below("/")) return {};
  return below(own);
}

void note_missing(CgroupLayout* layout) {
  if (!layout->memory) {
    layout->lacking.push_back(
        "memory cannot be limited: the kernel's memory controller is off; boot with "
        "cgroup_enable=memory");
  }
  if (!layout->pids) layout->lacking.push_back("the number of processes cannot be limited");
  if (!layout->cpu) layout->lacking.push_back("the share of the CPU cannot be limited");
  if (layout->memory && !layout->swap && text_of("/proc/swaps").find("\n/") != std::string::npos) {
    layout->lacking.push_back(
        "swap cannot be limited, and this machine has some: run 'swapoff -a' or boot with "
        "swapaccount=1");
  }
}

}  // namespace

std::string text_of(const fs::path& path) {
  auto text = read_file(path);
  return text ? *std::move(text) : std::string();
}

std::string_view name(CgroupMode mode) {
  switch (mode) {
    case CgroupMode::kV2: return "v2";
    case CgroupMode::kV1: return "v1";
    case CgroupMode::kHybrid: return "hybrid";
    case CgroupMode::kNone: break;
  }
  return "none";
}

CgroupLayout inspect_cgroups(std::string_view mountinfo, std::string_view own_groups) {
  CgroupLayout layout;
  layout.mounts = parse_cgroup_mounts(mountinfo);
  const auto own = parse_own_groups(own_groups);
  const auto& v1 = layout.mounts.v1;
  const bool has_v1 = v1.contains("memory") || v1.contains("pids") || v1.contains("cpu");
  const bool has_v2 = !layout.mounts.v2.empty() && own.contains("");
  if (has_v1) {
    layout.mode = has_v2 && is_there(layout.mounts.v2) ? CgroupMode::kHybrid : CgroupMode::kV1;
    layout.memory = v1.contains("memory");
    layout.pids = v1.contains("pids");
    layout.cpu = v1.contains("cpu");
    layout.swap =
        layout.memory && is_there(fs::path(v1.at("memory")) / "memory.memsw.limit_in_bytes");
  } else if (has_v2) {
    layout.mode = CgroupMode::kV2;
    const fs::path mine = fs::path(layout.mounts.v2 + own.at(""));
    const std::string offered = text_of(mine / "cgroup.controllers");
    layout.memory = has_word(offered, "memory");
    layout.pids = has_word(offered, "pids");
    layout.cpu = has_word(offered, "cpu");
    layout.swap = layout.memory && (is_there(mine / "memory.swap.max") || own.at("") == "/");
  } else {
    layout.lacking.push_back(
        "no control groups are mounted: memory, processes and CPU are limited "
        "for each process alone; mount cgroup2 at /sys/fs/cgroup");
    return layout;
  }
  note_missing(&layout);
  return layout;
}

CgroupLayout prepare_cgroups(const std::string& parent) {
  const std::string own_text = text_of("/proc/self/cgroup");
  CgroupLayout layout = inspect_cgroups(text_of("/proc/self/mountinfo"), own_text);
  Result<void> made;
  if (layout.mode == CgroupMode::kV2) {
    made = make_v2_parent(&layout, parse_own_groups(own_text).at(""), parent);
  } else if (layout.mode != CgroupMode::kNone) {
    JobGroup group(layout, "/" + parent);
    made = group.create();
    if (made && geteuid() != 0) {
      made = error(ErrorCode::kPermissionDenied, "only root may make groups of cgroup v1");
    }
  }
  if (!made) {
    CgroupLayout none;
    none.mounts = layout.mounts;
    none.lacking.push_back(fmt::format(
        "control groups cannot be used ({}): memory, processes and CPU are limited for each "
        "process alone; run as root, or below 'systemd-run --user --scope -p Delegate=yes'",
        made.error().message));
    return none;
  }
  return layout;
}

JobGroup::JobGroup(const CgroupLayout& layout, const std::string& path) : layout_(&layout) {
  if (layout.mode != CgroupMode::kNone) path_ = layout.base + path;
}

fs::path JobGroup::file(const char* controller, const char* name) const {
  if (layout_->mode == CgroupMode::kV2) return fs::path(layout_->mounts.v2 + path_) / name;
  const auto mount = layout_->mounts.v1.find(controller);
  if (mount == layout_->mounts.v1.end()) return {};
  return fs::path(mount->second + path_) / name;
}

std::vector<fs::path> JobGroup::directories() const {
  std::vector<fs::path> out;
  if (layout_->mode == CgroupMode::kNone) return out;
  std::set<std::string> mounts;
  if (layout_->mode != CgroupMode::kV1) mounts.insert(layout_->mounts.v2);
  if (layout_->mode != CgroupMode::kV2) {
    for (const auto& [controller, mount] : layout_->mounts.v1) mounts.insert(mount);
  }
  for (const std::string& mount : mounts) out.push_back(mount + path_);
  return out;
}

Result<void> JobGroup::create() const {
  if (layout_->mode == CgroupMode::kV1) return make_directories(file("pids", ""));
  if (layout_->mode != CgroupMode::kHybrid) return {};
  return make_directories(layout_->mounts.v2 + path_);
}

std::vector<fs::path> JobGroup::whole() const {
  std::set<std::string> mounts;
  if (layout_->mode != CgroupMode::kV1) mounts.insert(layout_->mounts.v2);
  if (layout_->mode != CgroupMode::kV2) {
    for (const char* controller : {"memory", "pids", "cpu", "cpuacct"}) {
      const auto mount = layout_->mounts.v1.find(controller);
      if (mount != layout_->mounts.v1.end()) mounts.insert(mount->second);
    }
  }
  return {mounts.begin(), mounts.end()};
}

Result<void> JobGroup::create_whole() const {
  for (const fs::path& mount : whole()) BCAI_TRY(make_directories(mount.string() + path_));
  return {};
}

Result<void> JobGroup::admit(pid_t pid) const {
  for (const fs::path& mount : whole()) {
    BCAI_TRY(put(fs::path(mount.string() + path_) / "cgroup.procs", std::to_string(pid)));
  }
  return {};
}

Result<void> JobGroup::limit(const Limits& limits) const {
  const bool v2 = layout_->mode == CgroupMode::kV2;
  const std::string memory = std::to_string(limits.memory_bytes_max);
  if (layout_->memory) {
    BCAI_TRY(put(file("memory", v2 ? "memory.max" : "memory.limit_in_bytes"), memory));
    if (layout_->swap) {
      BCAI_TRY(put(file("memory", v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes"),
                   v2 ? "0" : memory));
    }
    if (v2) BCAI_TRY(put(file("memory", "memory.oom.group"), "1"));
  }
  if (layout_->pids) {
    BCAI_TRY(put(file("pids", "pids.max"), std::to_string(limits.processes_max)));
  }
  if (!layout_->cpu) return {};
  const int64_t quota = limits.cpu_millicores * kCpuPeriodUs / 1000;
  if (v2) return put(file("cpu", "cpu.max"), fmt::format("{} {}", quota, kCpuPeriodUs));
  BCAI_TRY(put(file("cpu", "cpu.cfs_period_us"), std::to_string(kCpuPeriodUs)));
  return put(file("cpu", "cpu.cfs_quota_us"), std::to_string(quota));
}

std::vector<std::string> JobGroup::runtime_procs_files() const {
  if (layout_->mode != CgroupMode::kHybrid) return {};
  return {layout_->mounts.v2 + path_ + "/cgroup.procs"};
}

std::vector<std::string> JobGroup::procs_files() const {
  std::vector<std::string> files;
  for (const fs::path& mount : whole()) files.push_back(mount.string() + path_ + "/cgroup.procs");
  return files;
}

std::optional<int64_t> JobGroup::cpu_ms() const {
  if (layout_->mode == CgroupMode::kNone) return std::nullopt;
  if (layout_->mode == CgroupMode::kV2) {
    const auto usec = parse_keyed(text_of(file("cpu", "cpu.stat")), "usage_usec");
    return usec ? std::optional(*usec / 1000) : std::nullopt;
  }
  const auto nsec = parse_number(text_of(file("cpuacct", "cpuacct.usage")));
  return nsec ? std::optional(*nsec / 1'000'000) : std::nullopt;
}

Counters JobGroup::read() const {
  Counters counters;
  if (layout_->mode == CgroupMode::kNone) return counters;
  const bool v2 = layout_->mode == CgroupMode::kV2;
  counters.cpu_ms = cpu_ms().value_or(0);
  const char* peak = v2 ? "memory.peak" : "memory.max_usage_in_bytes";
  counters.memory_peak_bytes = parse_number(text_of(file("memory", peak))).value_or(0);
  counters.processes_peak = parse_number(text_of(file("pids", "pids.peak"))).value_or(0);
  const char* events = v2 ? "memory.events" : "memory.oom_control";
  counters.oom_kills = parse_keyed(text_of(file("memory", events)), "oom_kill").value_or(0);
  counters.processes_refused = parse_keyed(text_of(file("pids", "pids.events")), "max").value_or(0);
  return counters;
}

void JobGroup::kill() const {
  if (layout_->mode == CgroupMode::kNone) return;
  // A killed process runs once more, to its exit: with its quota spent it would wait for the next
  // period. Nothing is lost where this fails.
  if (layout_->cpu) {
    const bool v2 = layout_->mode == CgroupMode::kV2;
    (void)put(file("cpu", v2 ? "cpu.max" : "cpu.cfs_quota_us"), v2 ? "max" : "-1");
    (void)put(file("cpu", v2 ? "cpu.weight" : "cpu.shares"), "10000");
  }
  if (layout_->mode != CgroupMode::kV1) {
    if (put(layout_->mounts.v2 + path_ + "/cgroup.kill", "1")) return;  // Linux 5.14
  }
  for (pid_t pid : processes()) ::kill(pid, SIGKILL);
}

std::vector<pid_t> JobGroup::processes() const {
  std::vector<pid_t> pids;
  if (layout_->mode == CgroupMode::kNone) return pids;
  const std::string text = text_of(file("pids", "cgroup.procs"));
  for (std::string_view left = text; !left.empty();) {
    const size_t end = std::min(left.find('\n'), left.size());
    const auto pid = parse_number(left.substr(0, end));
    // 0 is a process that our pid namespace does not show; to kill, it would mean our own group.
    if (pid && *pid > 1 && *pid != getpid()) pids.push_back(static_cast<pid_t>(*pid));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return pids;
}

bool JobGroup::populated() const {
  if (layout_->mode == CgroupMode::kNone) return false;
  if (layout_->mode != CgroupMode::kV1) {
    const std::string events = text_of(layout_->mounts.v2 + path_ + "/cgroup.events");
    if (parse_keyed(events, "populated").value_or(0) != 0) return true;
    if (layout_->mode == CgroupMode::kV2) return false;
  }
  return !text_of(file("pids", "cgroup.procs")).empty();
}

bool JobGroup::kill_until_empty(const Clock& clock, Instant deadline) const {
  for (auto pause = std::chrono::microseconds(100); populated(); pause *= 2) {
    if (clock.now() >= deadline) return false;
    kill();
    std::this_thread::sleep_for(std::min(pause, std::chrono::microseconds(20'000)));
  }
  return true;
}

void JobGroup::remove() const {
  for (const fs::path& directory : directories()) {
    // The last process's exit may still hold the group for a moment.
    for (int tries = 0; rmdir(directory.c_str()) != 0 && errno == EBUSY && tries < 50; tries++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

std::vector<std::string> JobGroup::children() const {
  std::set<std::string> names;
  for (const fs::path& directory : directories()) {
    std::error_code failed;
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
         it.increment(failed)) {
      std::error_code ignored;
      if (it->is_directory(ignored)) names.insert(it->path().filename().string());
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace bcai::sandbox
