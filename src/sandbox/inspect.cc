// SPDX-License-Identifier: Apache-2.0
#include "sandbox/inspect.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/crypto.h"
#include "base/file.h"
#include "sandbox/denied_calls.h"
#include "sandbox/gvisor/gvisor.h"

namespace bcai::sandbox {
namespace {

std::optional<int64_t> sysctl_number(const char* path) {
  const auto text = read_file(path);
  return text ? parse_number(*text) : std::nullopt;
}

// With a size of 0 each of these calls fails, but not with ENOSYS where it exists.
bool has_call(long number) {
  return syscall(number, -1, "", 0, nullptr, 0) >= 0 || errno != ENOSYS;
}

void check_namespaces(bool rootless, std::vector<std::string>* lacking) {
  if (sysctl_number("/proc/sys/user/max_user_namespaces").value_or(0) == 0) {
    lacking->push_back("user namespaces are off: run 'sysctl -w user.max_user_namespaces=65536'");
  }
  if (!rootless) return;
  if (sysctl_number("/proc/sys/kernel/unprivileged_userns_clone").value_or(1) == 0) {
    lacking->push_back(
        "only root may make user namespaces: run 'sysctl -w kernel.unprivileged_userns_clone=1' "
        "or run as root");
  }
  if (sysctl_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").value_or(0) != 0) {
    lacking->push_back(
        "AppArmor restricts user namespaces of ordinary users: run 'sysctl -w "
        "kernel.apparmor_restrict_unprivileged_userns=0' or run as root");
  }
  lacking->push_back(
      "without root the job's disk use is limited for each file alone, and all jobs have our user "
      "id: run as root");
}

// A lack of warm starts alone: every job still runs.
void check_warm_starts(const CgroupLayout& cgroups, Host* host) {
  constexpr const char* kCold = "every job starts cold, torch's second included";
  if (host->rootless || cgroups.mode == CgroupMode::kNone) {
    host->lacking.push_back(
        fmt::format("{}: warm starts need root and control groups; run as root", kCold));
    return;
  }
  if (!UniqueFd(fsopen("overlay", FSOPEN_CLOEXEC))) {
    host->lacking.push_back(
        fmt::format("{}: the kernel has no overlay file system; run 'modprobe overlay'", kCold));
  }
  constexpr long kLandlockCreateRuleset = 444;
  constexpr unsigned kAskVersion = 1;
  if (syscall(kLandlockCreateRuleset, nullptr, 0, kAskVersion) < 2) {
    host->advice.push_back(
        "jobs that start warm lack their second lock on files: boot Linux 5.19 or newer with "
        "landlock among the lsm= parameter's words");
  }
}

}  // namespace

Host describe_host(const Result<Runtime>& runtime, const CgroupLayout& cgroups) {
  Host host;
  host.rootless = geteuid() != 0;
  host.cgroups = std::string(name(cgroups.mode));
  if (runtime) {
    host.runtime = runtime->text();
    if (const std::string warning = runtime->warning(); !warning.empty()) {
      host.advice.push_back(warning);
    }
  } else {
    host.lacking.push_back(runtime.error().message);
  }
  if (!has_call(SYS_mount_setattr)) {
    host.lacking.push_back("the kernel is older than 5.12: boot a newer one");
  }
  if (runtime && !(can_count_calls() && runtime->counts_calls())) {
    host.advice.push_back(fmt::format(
        "what jobs try of system calls that no job needs is refused and not counted: boot Linux "
        "5.0 or newer and install a runc that was built with libseccomp 2.5 or newer (this one: "
        "{})",
        runtime->libseccomp.text()));
  }
  check_namespaces(host.rootless, &host.lacking);
  host.lacking.insert(host.lacking.end(), cgroups.lacking.begin(), cgroups.lacking.end());
  check_warm_starts(cgroups, &host);
  return host;
}

Host inspect_host(const std::string& runc, const std::string& runsc) {
  const auto mountinfo = read_file("/proc/self/mountinfo");
  const auto own_groups = read_file("/proc/self/cgroup");
  CgroupLayout layout = inspect_cgroups(mountinfo ? *mountinfo : "", own_groups ? *own_groups : "");
  if (geteuid() != 0 && (layout.mode == CgroupMode::kV1 || layout.mode == CgroupMode::kHybrid)) {
    layout = {};
    layout.lacking.push_back(
        "control groups of version 1 are root's alone: memory, processes and CPU are limited for "
        "each process alone; run as root");
  }
  Host host = describe_host(find_runtime(runc), layout);
  host.high_lacking = gvisor_lacking(host.rootless, layout);
  const auto found = find_runsc(runsc);
  if (!found) {
    if (host.high_lacking.empty()) host.high_lacking = found.error().message;
  } else if (host.high_lacking.empty()) {
    host.high_runtime = found->text();
    if (const std::string w = found->warning(); !w.empty()) host.advice.push_back(w);
  }
  return host;
}

std::string group_name(const std::string& parent, const std::filesystem::path& state) {
  return parent + "/" + Sha256::of(state.string()).text().substr(0, 12);
}

}  // namespace bcai::sandbox
