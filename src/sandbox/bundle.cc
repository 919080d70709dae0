// SPDX-License-Identifier: Apache-2.0
#include "sandbox/bundle.h"

#include <sys/resource.h>

#include <algorithm>
#include <span>

#include "base/ascii.h"
#include "sandbox/proc_paths.h"
#include "sandbox/root.h"

namespace bcai::sandbox {
namespace {

constexpr int64_t kRuncDataBytes = 256'000'000;
constexpr int64_t kShmBytesMax = int64_t{64} << 30;
constexpr int kProxyPort = 3128;

constexpr size_t kSecretsBytesMax = 256 << 10;

// Names are the environment's; the engine's pipe and the runner's reading of it ask for the rest.
Result<void> validate_secrets(const Task& task) {
  if (task.secrets.empty()) return {};
  if (!task.native.empty()) {
    return error(ErrorCode::kInvalidArgument, "a native task has no secrets");
  }
  size_t bytes = 0;
  for (const auto& [name, value] : task.secrets) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos ||
        value.empty() || value.find('\0') != std::string::npos) {
      return error(ErrorCode::kInvalidArgument,
                   "secret '{}' cannot be set: its name or its value is empty or holds NUL", name);
    }
    bytes += name.size() + value.size() + 2;
  }
  if (bytes <= kSecretsBytesMax) return {};
  return error(ErrorCode::kInvalidArgument, "the secrets take {} bytes, at most {} are possible",
               bytes, kSecretsBytesMax);
}

struct Range {
  const char* field;
  int64_t value;
  int64_t min;
  int64_t max;
};

Result<void> validate_limits(const Limits& limits) {
  constexpr int64_t kHuge = int64_t{1} << 50;
  const Range ranges[] = {
      // runc itself needs some 10 MB while it becomes the job.
      {"memory_bytes_max", limits.memory_bytes_max, 16'000'000, kHuge},
      {"disk_bytes_max", limits.disk_bytes_max, 65'536, kHuge},
      {"inodes_max", limits.inodes_max, 16, int64_t{1} << 40},
      {"processes_max", limits.processes_max, 1, 4'194'304},
      {"open_files_max", limits.open_files_max, 16, 1'048'576},
      {"cpu_millicores", limits.cpu_millicores, 10, 4'096'000},
      {"cpu_ms_max", limits.cpu_ms_max, 0, kHuge},
      {"wall_ms_max", limits.wall_ms_max, 1, kHuge},
      {"file_bytes_max", limits.file_bytes_max, 0, kHuge},
      {"output_bytes_max", limits.output_bytes_max, 0, kHuge},
      {"output_bytes_kill", limits.output_bytes_kill, 1, kHuge},
      {"artifacts_max", limits.artifacts_max, 0, 100'000},
      {"artifact_bytes_max", limits.artifact_bytes_max, 0, kHuge},
      {"carried_bytes_max", limits.carried_bytes_max, 0, kHuge},
      {"denied_calls_max", limits.denied_calls_max, 1, kHuge},
      {"grace", limits.grace.count(), 0, 600'000},
  };
  for (const Range& range : ranges) {
    if (range.value >= range.min && range.value <= range.max) continue;
    return error(ErrorCode::kInvalidArgument, "limit {} is {}, expected {} to {}", range.field,
                 range.value, range.min, range.max);
  }
  return {};
}

json::object mapping(uint32_t inside, uint32_t outside) {
  return {{"containerID", inside}, {"hostID", outside}, {"size", 1}};
}

json::array mappings(const BundleContext& context) {
  if (context.rootless) return {mapping(0, context.uid)};
  return {mapping(0, context.uid), mapping(kJobUid, context.uid + 1)};
}

json::array namespaces() {
  json::array out;
  for (const char* type : {"pid", "ipc", "uts", "mount", "network", "cgroup", "user"}) {
    out.push_back(json::object{{"type", type}});
  }
  return out;
}

json::object tmpfs(const char* destination, const std::string& options) {
  json::array list{"nosuid", "nodev", "noexec"};
  for (size_t start = 0; start < options.size();) {
    const size_t end = std::min(options.find(',', start), options.size());
    list.emplace_back(options.substr(start, end - start));
    start = end + 1;
  }
  return {{"destination", destination}, {"type", "tmpfs"}, {"source", "tmpfs"}, {"options", list}};
}

json::array mounts(const Task& task, const BundleContext& context) {
  const std::string bounds = fmt::format("mode=1777,size={},nr_inodes={}",
                                         scratch_bytes_max(task.limits), task.limits.inodes_max);
  json::array out{
      json::object{{"destination", "/proc"},
                   {"type", "proc"},
                   {"source", "proc"},
                   {"options", json::array{"nosuid", "nodev", "noexec"}}},
      json::object{{"destination", "/dev"},
                   {"type", "tmpfs"},
                   {"source", "tmpfs"},
                   {"options", json::array{"nosuid", "strictatime", "mode=755", "size=64k"}}},
      tmpfs("/dev/shm", bounds),
      tmpfs("/tmp", bounds),
  };
  for (const Bind& bind : context.binds) {
    json::array options{"bind", "nosuid", "nodev"};
    options.push_back(bind.writable ? "rw" : "ro");
    if (bind.writable) options.push_back("noexec");
    out.push_back(json::object{{"destination", bind.destination},
                               {"type", "bind"},
                               {"source", bind.source},
                               {"options", options}});
  }
  return out;
}

json::array rlimits(const Limits& limits, const BundleContext& context) {
  json::array out;
  for (const ResourceLimit& limit : resource_limits(limits, context.cgroups)) {
    out.push_back(json::object{{"type", limit.name}, {"hard", limit.value}, {"soft", limit.value}});
  }
  return out;
}

json::array environment(const Task& task) {
  json::array out;
  for (const auto& [name, value] : environment_of(task)) out.emplace_back(name + "=" + value);
  return out;
}

json::array arguments(const Task& task) {
  if (task.native.empty()) {
    return {"/usr/bin/python3", "-I", "-S", "-B", "-u", "/opt/bcai/runner.py"};
  }
  json::array out{kNativeProgram};
  for (const std::string& argument : task.native) out.emplace_back(argument);
  return out;
}

json::object process(const Task& task, const BundleContext& context) {
  const uint32_t uid = context.rootless ? 0 : kJobUid;
  const json::array none;
  return {
      {"terminal", false},
      {"user", {{"uid", uid}, {"gid", uid}, {"umask", 077}}},
      {"args", arguments(task)},
      {"env", environment(task)},
      {"cwd", "/work"},
      {"capabilities",
       {{"bounding", none},
        {"effective", none},
        {"inheritable", none},
        {"permitted", none},
        {"ambient", none}}},
      {"rlimits", rlimits(task.limits, context)},
      {"noNewPrivileges", true},
      {"oomScoreAdj", 1000},
  };
}

json::array below_proc(std::span<const char* const> names) {
  json::array out;
  for (const char* name : names) out.emplace_back(fmt::format("/proc/{}", name));
  return out;
}

json::object resources(const Limits& limits, const BundleContext& context) {
  json::object out{{"devices", json::array{json::object{{"allow", false}, {"access", "rwm"}}}}};
  if (!context.cgroups || context.cgroup_path.empty()) return out;
  const CgroupLayout& layout = *context.cgroups;
  if (layout.memory) {
    json::object memory{{"limit", limits.memory_bytes_max}};
    if (layout.swap) memory["swap"] = limits.memory_bytes_max;  // both together
    out["memory"] = std::move(memory);
    if (layout.mode == CgroupMode::kV2) out["unified"] = {{"memory.oom.group", "1"}};
  }
  if (layout.pids) out["pids"] = {{"limit", limits.processes_max}};
  if (layout.cpu) {
    out["cpu"] = {{"quota", limits.cpu_millicores * kCpuPeriodUs / 1000}, {"period", kCpuPeriodUs}};
  }
  return out;
}

}  // namespace

int64_t scratch_bytes_max(const Limits& limits) {
  return std::min(limits.disk_bytes_max, kShmBytesMax);
}

int64_t threads_of(const Limits& limits) {
  return std::max<int64_t>(1, (limits.cpu_millicores + 999) / 1000);
}

std::vector<std::pair<std::string, std::string>> environment_of(const Task& task) {
  std::vector<std::pair<std::string, std::string>> out{
      {"PATH", "/usr/bin:/bin"}, {"HOME", "/work"},     {"USER", "job"},   {"LOGNAME", "job"},
      {"LANG", "C.UTF-8"},       {"LC_ALL", "C.UTF-8"}, {"TMPDIR", "/tmp"}};
  if (task.native.empty()) {
    out.emplace_back("PYTHONUNBUFFERED", "1");
    out.emplace_back("PYTHONDONTWRITEBYTECODE", "1");
  }
  // Threads beyond the quota only wait for it; libraries otherwise count the machine's cores.
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    out.emplace_back(name, std::to_string(threads_of(task.limits)));
  }
  if (!task.proxy.empty()) {
    const std::string proxy = fmt::format("http://127.0.0.1:{}", kProxyPort);
    for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"}) {
      out.emplace_back(name, proxy);
    }
    for (const char* name : {"NO_PROXY", "no_proxy"}) out.emplace_back(name, "localhost,127.0.0.1");
  }
  out.insert(out.end(), task.environment.begin(), task.environment.end());
  return out;
}

std::vector<ResourceLimit> resource_limits(const Limits& limits, const CgroupLayout* cgroups) {
  const int64_t file = limits.file_bytes_max > 0 ? limits.file_bytes_max : limits.disk_bytes_max;
  std::vector<ResourceLimit> out{
      {"RLIMIT_CORE", RLIMIT_CORE, 0},
      {"RLIMIT_NOFILE", RLIMIT_NOFILE, limits.open_files_max},
      {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, 8 << 20},
      {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE, 0},
      {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING, 512},
      {"RLIMIT_RTPRIO", RLIMIT_RTPRIO, 0},
      {"RLIMIT_NICE", RLIMIT_NICE, 0},
      {"RLIMIT_FSIZE", RLIMIT_FSIZE, file},
  };
  if (limits.cpu_ms_max > 0) {
    // A net below the budget that the supervisor keeps: of each process alone, so doubled.
    out.push_back({"RLIMIT_CPU", RLIMIT_CPU, limits.cpu_ms_max / 500 + 1});
  }
  // What a group would hold back is at least held back in each process. runc takes the limit on
  // before it becomes the job, and needs that much itself.
  if (!cgroups || !cgroups->memory) {
    out.push_back({"RLIMIT_DATA", RLIMIT_DATA, std::max(limits.memory_bytes_max, kRuncDataBytes)});
  }
  if (!cgroups || !cgroups->pids) {
    out.push_back({"RLIMIT_NPROC", RLIMIT_NPROC, limits.processes_max});
  }
  return out;
}

Result<void> validate(const Task& task) {
  const auto in_id = [](char c) { return is_lower(c) || is_digit(c) || c == '_'; };
  if (task.id.empty() || task.id.size() > 64 ||
      !std::all_of(task.id.begin(), task.id.end(), in_id)) {
    return error(ErrorCode::kInvalidArgument, "task id is '{}', expected 1 to 64 of a-z 0-9 _",
                 task.id);
  }
  if (task.level == SecurityLevel::kHigh && !task.native.empty()) {
    return error(ErrorCode::kInvalidArgument,
                 "a native program runs at the standard security level; high is for Python");
  }
  for (const auto& [name, value] : task.environment) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos || value.find('\0') != std::string::npos) {
      return error(ErrorCode::kInvalidArgument,
                   "environment variable '{}' cannot be set: it is empty or holds '=' or NUL",
                   name);
    }
  }
  BCAI_TRY(validate_secrets(task));
  return validate_limits(task.limits);
}

Limits zygote_limits() {
  Limits limits;
  limits.memory_bytes_max = 8'000'000'000;
  limits.disk_bytes_max = 16'000'000;
  limits.inodes_max = 1000;
  limits.processes_max = 8192;
  return limits;
}

json::object make_config(const Task& task, const BundleContext& context) {
  json::object linux{
      {"namespaces", namespaces()},
      {"uidMappings", mappings(context)},
      {"gidMappings", mappings(context)},
      {"rootfsPropagation", "private"},
      {"resources", resources(task.limits, context)},
      {"maskedPaths", below_proc(kProcMasked)},
      {"readonlyPaths", below_proc(kProcReadOnly)},
  };
  if (!context.cgroup_path.empty()) linux["cgroupsPath"] = context.cgroup_path;
  if (context.seccomp) linux["seccomp"] = *context.seccomp;
  if (!context.seccomp_listener.empty()) {
    linux["seccomp"].as_object()["listenerPath"] = context.seccomp_listener;
  }
  return {
      {"ociVersion", "1.0.2"},
      {"process", process(task, context)},
      {"root", {{"path", context.root}, {"readonly", true}}},
      {"hostname", "sandbox"},
      {"mounts", mounts(task, context)},
      {"linux", std::move(linux)},
  };
}

json::object make_zygote_config(const std::vector<std::string>& arguments, int64_t threads,
                                const BundleContext& context, uint32_t users) {
  Task like;
  like.limits = zygote_limits();
  like.limits.cpu_millicores = threads * 1000;
  json::object config = make_config(like, context);
  json::object& process = config["process"].as_object();
  json::array list;
  for (const std::string& argument : arguments) list.emplace_back(argument);
  process["args"] = std::move(list);
  process["cwd"] = "/";
  process["user"] = {{"uid", 0}, {"gid", 0}, {"umask", 077}};
  // Within its own user namespace, over its own children.
  const json::array rights{"CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"};
  for (const char* set : {"bounding", "effective", "permitted"}) {
    process["capabilities"].as_object()[set] = rights;
  }
  process["rlimits"] = json::array{};
  process["oomScoreAdj"] = 0;
  json::object& linux = config["linux"].as_object();
  for (const char* map : {"uidMappings", "gidMappings"}) {
    linux[map] =
        json::array{json::object{{"containerID", 0}, {"hostID", context.uid}, {"size", users}}};
  }
  // The kernel lets nobody mount /proc who cannot see all of one.
  linux.erase("maskedPaths");
  linux.erase("readonlyPaths");
  linux.erase("seccomp");
  linux["resources"].as_object().erase("cpu");
  return config;
}

std::string secrets_text(const Task& task) {
  std::string text;
  for (const auto& [name, value] : task.secrets) {
    text.append(name).push_back('\0');
    text.append(value).push_back('\0');
  }
  return text;
}

std::string make_task_json(const Task& task) {
  json::array arguments;
  for (const std::string& argument : task.arguments) arguments.emplace_back(argument);
  json::array allowed;
  for (const std::string& module : task.allowed_imports) allowed.emplace_back(module);
  json::object environment;
  for (const auto& [name, value] : environment_of(task)) environment[to_json(name)] = value;
  json::object out{
      {"filename", task.filename},
      {"arguments", std::move(arguments)},
      {"environment", std::move(environment)},
      {"imports", {{"restricted", task.imports_restricted}, {"allowed", std::move(allowed)}}},
      {"carried_bytes_max", task.limits.carried_bytes_max},
  };
  if (!task.secrets.empty()) {
    json::array names;
    for (const auto& secret : task.secrets) names.emplace_back(secret.first);
    out["secrets"] = std::move(names);
  }
  if (!task.overlay.empty()) out["overlay"] = kOverlay;
  if (!task.proxy.empty()) {
    out["proxy"] = {{"port", kProxyPort}, {"socket", fmt::format("{}/proxy", kProxyDirectory)}};
  }
  return to_text(out);
}

}  // namespace bcai::sandbox
