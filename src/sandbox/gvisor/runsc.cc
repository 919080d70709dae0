// SPDX-License-Identifier: Apache-2.0
#include "sandbox/gvisor/runsc.h"

#include <charconv>

#include "sandbox/spawn.h"

namespace bcai::sandbox {
namespace {

constexpr RunscVersion kOldestRunsc{20'221'219, 0};
constexpr RunscVersion kSystrap{20'230'701, 0};  // about when ptrace ceased to be the default

constexpr const char* kInstall =
    "install it: 'apt-get install runsc' on Debian, or a current release as "
    "https://gvisor.dev/docs/user_guide/install says";

}  // namespace

std::string RunscVersion::text() const { return fmt::format("{}.{}", day, patch); }

std::optional<RunscVersion> parse_runsc_version(std::string_view output) {
  const std::string_view line = output.substr(0, output.find('\n'));
  const size_t at = line.find(" version ");
  if (at == std::string_view::npos) return std::nullopt;
  const size_t day = line.find("20", at);
  if (day == std::string_view::npos) return std::nullopt;
  RunscVersion version;
  const char* end = line.data() + line.size();
  const auto [after, failed] = std::from_chars(line.data() + day, end, version.day);
  if (failed != std::errc() || after - (line.data() + day) != 8) return std::nullopt;
  if (after != end && *after == '.') std::from_chars(after + 1, end, version.patch);
  return version;
}

std::string Runsc::text() const {
  const std::string name = "runsc " + version.text();
  return platform.empty() ? name : fmt::format("{} ({})", name, platform);
}

std::string Runsc::warning() const {
  if (version >= kSystrap) return "";
  return fmt::format(
      "runsc {} takes every system call by ptrace, 10 to 40 times slower than the kernel does, and "
      "lacks the fixes since: install a current release as "
      "https://gvisor.dev/docs/user_guide/install says",
      version.text());
}

Result<Runsc> find_runsc(const std::string& name) {
  auto program = find_program(name);
  if (!program) {
    return error(ErrorCode::kNotFound, "{}; {}", program.error().message, kInstall);
  }
  BCAI_TRY_ASSIGN(const Captured ran, run_captured({.arguments = {*program, "--version"},
                                                    .environment = {"PATH=/usr/bin:/bin"}},
                                                   Millis(20'000)));
  const auto version = parse_runsc_version(ran.output);
  if (ran.status.code != 0 || !version) {
    return error(ErrorCode::kFailedPrecondition,
                 "{} --version says '{}', expected the day of a release; {}", *program,
                 ran.output.substr(0, 200), kInstall);
  }
  if (*version < kOldestRunsc) {
    return error(ErrorCode::kFailedPrecondition, "{} is of {}, expected {} or newer; {}", *program,
                 version->text(), kOldestRunsc.text(), kInstall);
  }
  return Runsc{.program = *program, .version = *version, .platform = ""};
}

std::vector<std::string> runsc_arguments(const Runsc& runsc, const std::filesystem::path& directory,
                                         const std::string& id, bool reaches_sockets) {
  return {runsc.program, "--root", directory / "runsc", "--log", runsc_log(directory),
          "--log-format", "json", "--platform", runsc.platform, "--network", "none", "--host-uds",
          reaches_sockets ? "open" : "none", "--host-fifo", "none", "--net-raw=false", "--overlay2",
          "none",
          // The root stays as it is for as long as the sandbox lives; /in and /work do not.
          "--file-access", "exclusive", "--file-access-mounts", "shared",
          // It starts in the job's own group, and stays there.
          "--ignore-cgroups", "run", "--bundle", directory, "--pid-file", runsc_pid_file(directory),
          id};
}

std::filesystem::path runsc_pid_file(const std::filesystem::path& directory) {
  return directory / "pid";
}

std::filesystem::path runsc_log(const std::filesystem::path& directory) {
  return directory / "log";
}

}  // namespace bcai::sandbox
