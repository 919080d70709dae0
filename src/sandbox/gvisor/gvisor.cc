// SPDX-License-Identifier: Apache-2.0
#include "sandbox/gvisor/gvisor.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "sandbox/bundle.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

constexpr Millis kGuestStartMax{60'000};
constexpr Millis kTryMax{10'000};  // of a platform
// Raised when the test or what guests are started with is another.
constexpr int kTest = 1;
// Empty after the machine has started again, like the kernel that the test has seen.
constexpr const char* kNotes = "/run/bcai";

std::string failing(const std::vector<SelfTestLine>& lines) {
  std::string out;
  for (const SelfTestLine& line : lines) {
    if (line.holds) continue;
    out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", line.name, line.detail);
  }
  return out;
}

// Its task brings its limits; those of the control group first, so that nothing has to shrink.
GuestOptions waiting_options(const GuestKey& key) {
  Task like;
  like.limits.cpu_millicores = key.libraries.threads * 1000;
  like.limits.disk_bytes_max = key.scratch_bytes;
  return {.environment = environment_of(like),
          .overlay = key.libraries.overlay,
          .proxy = {},
          .preload = key.libraries.preload,
          .limits = like.limits,
          .limited = false};
}

std::string member(const json::value& value, const char* name) {
  const json::value* found = value.is_object() ? value.get_object().if_contains(name) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

}  // namespace

Gvisor::Gvisor(std::string program, std::unique_ptr<GuestHost> host,
               std::function<std::vector<SelfTestLine>()> probe, bool keeps_waiting)
    : program_(std::move(program)),
      host_(std::move(host)),
      probe_(std::move(probe)),
      keeps_waiting_(keeps_waiting) {}

Result<HighLevel> Gvisor::level() {
  const std::lock_guard guard(mutex_);
  if (level_) return *level_;
  level_.emplace(test());
  if (*level_ && keeps_waiting_) {
    pool_ = std::make_unique<GuestPool>([this](const GuestKey& key, int stop) {
      return Guest::start(*host_, runsc_, waiting_options(key), Zygote::kLoadMax, stop);
    });
  }
  return *level_;
}

Result<HighLevel> Gvisor::test() {
  BCAI_TRY_ASSIGN(runsc_, find_runsc(program_));
  if (auto known = recall()) return *std::move(known);
  BCAI_TRY(find_platform());
  const std::vector<SelfTestLine> lines = probe_();
  if (const std::string bad = failing(lines); !bad.empty()) {
    return error(ErrorCode::kFailedPrecondition, "{} fails its self-test: {}", runsc_.text(), bad);
  }
  HighLevel level{.runtime = runsc_.text(),
                  .self_test = fmt::format("{}, {} of {} hold", format_time(SystemClock().wall()),
                                           lines.size(), lines.size())};
  remember(level);
  log_event(LogLevel::kInfo, "sandbox.high_level",
            {{"runtime", level.runtime}, {"self_test", level.self_test}});
  return level;
}

// The first by which a guest starts.
Result<void> Gvisor::find_platform() {
  std::string said;
  for (const char* platform : kPlatforms) {
    runsc_.platform = platform;
    const auto guest = Guest::start(*host_, runsc_, {}, kTryMax);
    if (guest) return {};
    said += fmt::format("{}{}: {}", said.empty() ? "" : "; ", platform, guest.error().message);
  }
  return error(ErrorCode::kFailedPrecondition, "runsc {} starts no sandbox here: {}",
               runsc_.version.text(), said);
}

// One of each runsc with each base environment, of which there may be several at once.
fs::path Gvisor::note() const {
  const Interpreter& python = host_->root.interpreter;
  const std::string whose = fmt::format("{}\n{}\n{}", runsc_.program, python.program.string(),
                                        python.site_packages.string());
  return fs::path(kNotes) / ("high_" + Sha256::of(whose).text().substr(0, 20) + ".json");
}

// All that the test's outcome depends on.
std::string Gvisor::key() const {
  utsname system{};
  uname(&system);
  return fmt::format("{} {} {} {} {} {} {} {}", kTest, runsc_.program, runsc_.version.text(),
                     mark_of(runsc_.program), system.release, host_->root.tree.filename().string(),
                     host_->root.runner.filename().string(), name(host_->cgroups.mode));
}

std::optional<HighLevel> Gvisor::recall() {
  const auto text = read_file(note());
  const auto value = text ? parse_json(*text) : Result<json::value>(json::value());
  if (!value || member(*value, "key") != key()) return std::nullopt;
  HighLevel level{.runtime = member(*value, "runtime"), .self_test = member(*value, "self_test")};
  const std::string platform = member(*value, "platform");
  if (level.runtime.empty() || level.self_test.empty() || platform.empty()) return std::nullopt;
  runsc_.platform = platform;
  return level;
}

void Gvisor::remember(const HighLevel& level) const {
  const json::object text{{"key", key()},
                          {"runtime", level.runtime},
                          {"self_test", level.self_test},
                          {"platform", runsc_.platform}};
  if (auto wrote = write_file(note(), to_text(text)); !wrote) {
    log_event(LogLevel::kWarn, "sandbox.self_test_not_kept", {{"why", wrote.error().message}});
  }
}

std::unique_ptr<Guest> Gvisor::waiting(const Task& task) {
  const auto key = pool_ ? guest_key(task, host_->root.interpreter) : std::nullopt;
  return key ? pool_->take(*key) : nullptr;
}

Result<void> Gvisor::await(const Task& task) {
  const auto key = pool_ ? guest_key(task, host_->root.interpreter) : std::nullopt;
  if (!key) return error(ErrorCode::kUnavailable, "this task starts cold on this machine");
  return pool_->await(*key);
}

Result<std::unique_ptr<Guest>> Gvisor::start(const Task& task) {
  return Guest::start(*host_, runsc_,
                      {.environment = environment_of(task),
                       .overlay = task.overlay,
                       .proxy = task.proxy,
                       .preload = std::nullopt,
                       .limits = task.limits},
                      kGuestStartMax);
}

std::string gvisor_lacking(bool rootless, const CgroupLayout& cgroups) {
  if (rootless) return "the high level needs root: run as root";
  if (cgroups.mode == CgroupMode::kNone || !cgroups.memory || !cgroups.pids || !cgroups.cpu) {
    return "the high level needs control groups with the memory, pids and cpu controllers; mount "
           "cgroup2 at /sys/fs/cgroup";
  }
  return "";
}

}  // namespace bcai::sandbox
