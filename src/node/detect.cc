// SPDX-License-Identifier: Apache-2.0
#include "node/detect.h"

#include <sched.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/file.h"
#include "node/node.h"

namespace bcai::node {
namespace {

// As /proc/cpuinfo names them. The list is what libraries choose their kernels by.
const std::set<std::string_view> kInstructionSets{
    "sse4_2",   "avx",      "avx2",        "fma",      "f16c",        "avx_vnni",    "avx512f",
    "avx512bw", "avx512vl", "avx512_vnni", "amx_tile", "avx512_bf16", "avx512_fp16", "amx_bf16",
    "amx_int8", "asimd",    "sve",         "sve2",     "bf16",        "i8mm",        "asimddp",
};

constexpr size_t kCapabilityBytesMax = 256;  // of a text in Capabilities
constexpr int64_t kFileBytesMax = int64_t{4} << 20;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

// Takes the text up to `separator` off the front.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return head;
}

// What may go into JSON and onto a terminal: printable ASCII, short.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : trimmed(text).substr(0, kCapabilityBytesMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

std::optional<int64_t> parse_whole(std::string_view text) {
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::string read_or_empty(const std::filesystem::path& path) {
  Result<std::string> text = read_file(path, kFileBytesMax);
  return text ? *std::move(text) : std::string();
}

// The least limit of `cgroup` and all above it, as `parse` reads it from each one's directory.
template <typename Parse>
std::optional<int64_t> least_limit(const std::filesystem::path& hierarchy, std::string cgroup,
                                   Parse parse) {
  std::optional<int64_t> least;
  for (;;) {
    const std::optional<int64_t> limit = parse(hierarchy.string() + cgroup);
    if (limit && (!least || *limit < *least)) least = limit;
    if (cgroup.empty() || cgroup == "/") return least;
    const size_t slash = cgroup.rfind('/');
    cgroup.resize(slash == std::string::npos ? 0 : slash);
  }
}

std::optional<int64_t> least(std::optional<int64_t> a, std::optional<int64_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

std::optional<int64_t> cgroup_cpu_millicores(const std::filesystem::path& root,
                                             std::map<std::string, std::string>& cgroups) {
  const std::filesystem::path mount = root / "sys/fs/cgroup";
  const auto v2 = [](const std::string& directory) {
    return parse_cpu_max(read_or_empty(directory + "/cpu.max"));
  };
  const auto v1 = [](const std::string& directory) {
    return parse_cpu_max(std::string(trimmed(read_or_empty(directory + "/cpu.cfs_quota_us"))) +
                         " " + read_or_empty(directory + "/cpu.cfs_period_us"));
  };
  return least(least_limit(mount, cgroups[""], v2), least_limit(mount / "cpu", cgroups["cpu"], v1));
}

std::optional<int64_t> cgroup_memory_bytes(const std::filesystem::path& root,
                                           std::map<std::string, std::string>& cgroups) {
  const std::filesystem::path mount = root / "sys/fs/cgroup";
  const auto v2 = [](const std::string& directory) {
    return parse_memory_max(read_or_empty(directory + "/memory.max"));
  };
  const auto v1 = [](const std::string& directory) {
    return parse_memory_max(read_or_empty(directory + "/memory.limit_in_bytes"));
  };
  return least(least_limit(mount, cgroups[""], v2),
               least_limit(mount / "memory", cgroups["memory"], v1));
}

int affinity_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

CpuInfo parse_cpuinfo(std::string_view text) {
  CpuInfo info;
  std::set<std::string> sets;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    const std::string_view key = trimmed(take_until(line, ':'));
    const std::string_view value = trimmed(line);
    if (key == "processor") info.processors += 1;
    // "Model" and "Hardware" are what ARM boards give.
    if (info.model.empty() && (key == "model name" || key == "Model" || key == "Hardware")) {
      info.model = printable(value);
    }
    if (!sets.empty() || (key != "flags" && key != "Features")) continue;
    std::string_view flags = value;
    while (!flags.empty()) {
      const std::string_view flag = take_until(flags, ' ');
      if (kInstructionSets.contains(flag)) sets.emplace(flag);
    }
  }
  info.instruction_sets.assign(sets.begin(), sets.end());
  return info;
}

int64_t parse_meminfo(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (trimmed(take_until(line, ':')) != "MemTotal") continue;
    line = trimmed(line);
    const std::optional<int64_t> kibibytes = parse_whole(take_until(line, ' '));
    if (trimmed(line) != "kB" || !kibibytes || *kibibytes > INT64_MAX / 1024) return 0;
    return *kibibytes * 1024;
  }
  return 0;
}

std::string parse_os_release(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (take_until(line, '=') != "PRETTY_NAME") continue;
    line = trimmed(line);
    if (line.size() >= 2 && (line[0] == '"' || line[0] == '\'') && line.back() == line[0]) {
      line = line.substr(1, line.size() - 2);
    }
    return printable(line);
  }
  return "";
}

std::map<std::string, std::string> parse_cgroup(std::string_view text) {
  std::map<std::string, std::string> paths;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    take_until(line, ':');  // the hierarchy's number
    std::string_view controllers = take_until(line, ':');
    if (!line.starts_with('/') || line.size() > 4096) continue;
    if (line.find("..") != std::string_view::npos) line = "/";  // a cgroup outside our namespace
    const std::string path(line);
    if (controllers.empty()) paths[""] = path;
    while (!controllers.empty()) paths[std::string(take_until(controllers, ','))] = path;
  }
  return paths;
}

std::optional<int64_t> parse_cpu_max(std::string_view text) {
  text = trimmed(text);
  const std::optional<int64_t> quota = parse_whole(take_until(text, ' '));
  const std::optional<int64_t> period = parse_whole(trimmed(text));
  if (!quota || !period || *period == 0 || *quota == 0 || *quota > INT64_MAX / 1000) {
    return std::nullopt;
  }
  return std::max<int64_t>(1, *quota * 1000 / *period);
}

std::optional<int64_t> parse_memory_max(std::string_view text) {
  const std::optional<int64_t> limit = parse_whole(trimmed(text));
  // v1 writes its largest page-aligned number for "none".
  if (!limit || *limit >= INT64_MAX - (1 << 20)) return std::nullopt;
  return limit;
}

Capabilities read_machine(const std::filesystem::path& root, const std::filesystem::path& disk) {
  Capabilities found;
  const CpuInfo cpu = parse_cpuinfo(read_or_empty(root / "proc/cpuinfo"));
  auto cgroups = parse_cgroup(read_or_empty(root / "proc/self/cgroup"));
  found.cpu_model = cpu.model.empty() ? "unknown" : cpu.model;
  found.instruction_sets = cpu.instruction_sets;
  found.cpu_millicores = int64_t{1000} * affinity_count();
  if (const auto limit = cgroup_cpu_millicores(root, cgroups); limit) {
    found.cpu_millicores = std::min(found.cpu_millicores, *limit);
  }
  found.memory_bytes = parse_meminfo(read_or_empty(root / "proc/meminfo"));
  if (const auto limit = cgroup_memory_bytes(root, cgroups); limit) {
    found.memory_bytes = std::min(found.memory_bytes, *limit);
  }
  found.os = parse_os_release(read_or_empty(root / "etc/os-release"));
  utsname system{};
  if (uname(&system) == 0) {
    found.hostname = printable(system.nodename);
    found.kernel = printable(system.release);
    found.architecture = printable(system.machine);
  }
  struct statvfs space {};
  // The nearest directory that is there: the data directory may be yet to come.
  std::filesystem::path at = disk;
  while (statvfs(at.c_str(), &space) != 0 && at.has_relative_path()) at = at.parent_path();
  found.disk_bytes = static_cast<int64_t>(space.f_bavail) * static_cast<int64_t>(space.f_frsize);
  found.version = BCAI_VERSION;
  return found;
}

Capabilities detect_machine(const std::filesystem::path& disk) {
  Capabilities found = read_machine("/", disk);
  found.gpus = detect_gpus();
  return found;
}

}  // namespace bcai::node
