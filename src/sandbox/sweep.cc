// SPDX-License-Identifier: Apache-2.0
#include "sandbox/sweep.h"

#include <signal.h>

#include <poll.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "sandbox/pidfd.h"
#include "sandbox/tree_copy.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

constexpr Millis kSweepKillMax{10'000};

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> out;
  std::error_code failed;
  for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    out.push_back(it->path());
  }
  return out;
}

// Field 22 of /proc/PID/stat: with the number it names a process for good.
std::optional<int64_t> start_time(int64_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  rest.remove_prefix(std::min(rest.size(), rest.rfind(')') + 2));
  for (int field = 3; field < 22; field++) {
    rest.remove_prefix(std::min(rest.size(), rest.find(' ')));
    if (!rest.empty()) rest.remove_prefix(1);
  }
  return parse_number(rest.substr(0, rest.find(' ')));
}

std::optional<int64_t> member(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value && value->is_int64() ? std::optional(value->get_int64()) : std::nullopt;
}

// The container's first process, as runc noted it: the only trace where there are no groups.
void kill_noted(const fs::path& container) {
  const auto text = read_file(container / "state.json");
  const auto state = text ? parse_json(*text) : Result<json::value>(json::value());
  if (!state || !state->is_object()) return;
  const auto pid = member(state->get_object(), "init_process_pid");
  const auto started = member(state->get_object(), "init_process_start");
  if (!pid || !started || *pid <= 1) return;
  const UniqueFd process(open_pidfd(static_cast<pid_t>(*pid)));
  // The pidfd came first: if the time is right now, it is this process that the pidfd holds.
  if (!process || start_time(*pid) != started) return;
  send_signal(process.get(), SIGKILL);
  pollfd waiting{.fd = process.get(), .events = POLLIN, .revents = 0};
  poll(&waiting, 1, static_cast<int>(kSweepKillMax.count()));
}

}  // namespace

Result<void> sweep(const fs::path& state, const CgroupLayout& cgroups, const std::string& group) {
  int swept = 0;
  const SystemClock clock;
  for (const fs::path& container : entries(state / "runc")) {
    kill_noted(container);
    swept++;
  }
  const JobGroup all(cgroups, group);
  if (cgroups.mode != CgroupMode::kNone) {
    for (const std::string& name : all.children()) {
      const JobGroup job(cgroups, group + "/" + name);
      if (!job.kill_until_empty(clock, clock.now() + kSweepKillMax)) {
        return error(ErrorCode::kFailedPrecondition,
                     "processes of an earlier job in the control group {} cannot be killed; they "
                     "are probably stuck in the kernel: restart the machine",
                     job.runc_path());
      }
      job.remove();
      swept++;
    }
  }
  for (const char* name : {"runc", "bundles"}) {
    for (const fs::path& left : entries(state / name)) {
      remove_tree(left);
      std::error_code failed;
      if (fs::exists(fs::symlink_status(left, failed))) {
        return error(ErrorCode::kFailedPrecondition,
                     "{}, which an earlier job left, cannot be removed: remove it by hand",
                     left.string());
      }
    }
  }
  if (swept > 0) log_event(LogLevel::kInfo, "sandbox.swept", {{"traces", swept}});
  return {};
}

}  // namespace bcai::sandbox
