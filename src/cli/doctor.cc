// SPDX-License-Identifier: Apache-2.0
// `bcai doctor`: what this machine lacks to run jobs, and what mends it. Changes nothing.
#include <sys/statvfs.h>
#include <unistd.h>

#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/python_probe.h"
#include "sandbox/sandbox.h"

namespace bcai::cli {
namespace {

constexpr int64_t kDiskBytesMin = 2'000'000'000;
constexpr int64_t kOpenFilesMin = 16'384;

struct Check {
  std::string name;
  bool holds = false;
  bool needed = true;
  std::string detail;
  std::string remedy;  // a command, where there is one
};

void check_sandbox(std::vector<Check>& checks) {
  const sandbox::Host host = sandbox::inspect_host("runc");
  checks.push_back({.name = "runtime",
                    .holds = !host.runtime.empty(),
                    .detail = host.runtime.empty() ? "runc was not found" : host.runtime,
                    .remedy = host.runtime.empty() ? "apt-get install runc" : ""});
  checks.push_back(
      {.name = "cgroups", .holds = host.cgroups != "none", .detail = host.cgroups, .remedy = {}});
  checks.push_back({.name = "user",
                    .holds = true,
                    .detail = fmt::format("uid {}{}", getuid(), host.rootless ? ", rootless" : ""),
                    .remedy = {}});
  checks.push_back(
      {.name = "gvisor",
       .holds = host.high_lacking.empty(),
       .needed = false,
       .detail = host.high_lacking.empty()
                     ? fmt::format("{}, for the high security level", host.high_runtime)
                     : host.high_lacking,
       .remedy = {}});
  for (const std::string& lacking : host.lacking) {
    checks.push_back({.name = "sandbox", .holds = false, .detail = lacking, .remedy = {}});
  }
  for (const std::string& advice : host.advice) {
    checks.push_back(
        {.name = "sandbox", .holds = false, .needed = false, .detail = advice, .remedy = {}});
  }
}

void check_python(const std::string& python, std::vector<Check>& checks) {
  const Result<PythonProbe> probe = probe_python(python);
  if (!probe) {
    checks.push_back({.name = "python",
                      .holds = false,
                      .detail = probe.error().message,
                      .remedy = "apt-get install python3, or bcai config set python PATH"});
    return;
  }
  checks.push_back({.name = "python",
                    .holds = true,
                    .detail = fmt::format("{} ({})", python, probe->version),
                    .remedy = {}});
  checks.push_back(
      {.name = "torch",
       .holds = !probe->torch.empty(),
       .needed = false,
       .detail = probe->torch.empty() ? fmt::format("{} has none; jobs that import it fail", python)
                                      : probe->torch,
       .remedy = probe->torch.empty()
                     ? "python3 -m venv /opt/bcai && /opt/bcai/bin/pip install torch && "
                       "bcai config set python /opt/bcai/bin/python"
                     : ""});
}

void check_disk(std::filesystem::path directory, std::vector<Check>& checks) {
  const std::filesystem::path wanted = directory;
  std::error_code ignored;
  while (!std::filesystem::exists(directory, ignored) && directory.has_relative_path()) {
    directory = directory.parent_path();
  }
  const bool writable = access(directory.c_str(), W_OK) == 0;
  checks.push_back(
      {.name = "state",
       .holds = writable,
       .detail = fmt::format("{}{}", wanted.string(), writable ? "" : " cannot be written"),
       .remedy = writable ? "" : "bcai config set data_directory DIR"});
  struct statvfs status {};
  if (statvfs(directory.c_str(), &status) != 0) return;
  const int64_t free =
      static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
  checks.push_back(
      {.name = "disk",
       .holds = free >= kDiskBytesMin,
       .detail = fmt::format("{} free on {}", format_bytes(free), directory.string()),
       .remedy = free >= kDiskBytesMin ? "" : fmt::format("free {}", format_bytes(kDiskBytesMin))});
}

void check_open_files(std::vector<Check>& checks) {
  const int64_t most = open_files_max();
  const bool enough = most >= kOpenFilesMin;
  checks.push_back(
      {.name = "files",
       .holds = enough,
       .needed = false,
       .detail = fmt::format("a process may open {}{}", most,
                             enough ? "" : "; a coordinator holds one for each node and client"),
       .remedy = enough ? ""
                        : fmt::format("ulimit -Hn {0} as root, or LimitNOFILE={0} in its systemd "
                                      "unit",
                                      kOpenFilesMin)});
}

// Only when one is configured.
void check_network(Context& context, std::vector<Check>& checks) {
  const std::string& endpoint = context.settings.value(SettingKey::kEndpoint);
  if (endpoint.empty()) return;
  Result<ApiClient> api = connect_to_network({}, context);
  Result<json::value> me = api ? api->whoami() : api.error();
  checks.push_back({.name = "network",
                    .holds = me.has_value(),
                    .needed = false,
                    .detail = me ? fmt::format("{} knows this key as {} ({})", endpoint,
                                               text_of(*me, "name"), text_of(*me, "role"))
                                 : me.error().message,
                    .remedy = me ? "" : "bcai up, or bcai config set endpoint URL"});
}

void print_checks(const Screen& screen, const std::vector<Check>& checks) {
  for (const Check& check : checks) {
    const std::string_view mark = check.holds ? "ok" : check.needed ? "lacking" : "note";
    const Style style = check.holds ? Style::kGreen : check.needed ? Style::kRed : Style::kYellow;
    screen.out("{}  {:<8}  {}\n", screen.styled_out(style, fmt::format("{:<7}", mark)), check.name,
               printable(check.detail));
    if (!check.remedy.empty()) {
      screen.out("                   {} {}\n", screen.styled_out(Style::kDim, "mend:"),
                 check.remedy);
    }
  }
}

}  // namespace

int execute(const DoctorOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Settings& settings = context.settings;
  settings.override_with_flag(SettingKey::kPython, options.python, "--python");
  settings.override_with_flag(SettingKey::kDataDirectory, options.data_directory, "--data-dir");
  std::vector<Check> checks;
  check_sandbox(checks);
  check_python(settings.value(SettingKey::kPython), checks);
  check_disk(settings.value(SettingKey::kDataDirectory), checks);
  check_open_files(checks);
  check_network(context, checks);
  bool whole = true;
  json::array list;
  for (const Check& check : checks) {
    whole = whole && (check.holds || !check.needed);
    list.push_back(json::object{{"name", check.name},
                                {"holds", check.holds},
                                {"needed", check.needed},
                                {"detail", check.detail},
                                {"remedy", check.remedy}});
  }
  if (options.json) {
    screen.out("{}\n", to_text(json::object{{"ok", whole}, {"checks", std::move(list)}}));
  } else {
    print_checks(screen, checks);
    screen.note(whole ? "this machine can run jobs: bcai run --code \"print('hello')\""
                      : "what is lacking must be mended before jobs can run here");
  }
  return whole ? 0 : 1;
}

}  // namespace bcai::cli
