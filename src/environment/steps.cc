// SPDX-License-Identifier: Apache-2.0
#include "environment/steps.h"

#include <algorithm>

#include "base/clip.h"
#include "base/file.h"
#include "base/log.h"
#include "environment_files.h"

namespace bcai::environment {
namespace fs = std::filesystem;

namespace {

// Exit codes of the scripts.
constexpr int kRefused = 3;
constexpr int kUnreachable = 4;

constexpr int64_t kExplanationBytesMax = 16'384;
constexpr int64_t kChunkBytes = 1'000'000'000;  // written by one step of unpacking
constexpr int64_t kStepMemoryBytes = 1'000'000'000;
constexpr int64_t kResolveProxyBytesMax = 2'000'000'000;
constexpr int64_t kPageBytesMax = 64'000'000;  // of the index, for a wheel
constexpr int64_t kStepWallMs = 1'800'000;
constexpr int64_t kSourceBytesMax = 500'000'000;
constexpr int64_t kBuildDiskBytes = 3'000'000'000;
constexpr int64_t kBuildMemoryBytes = 3'000'000'000;  // besides
constexpr int64_t kBuiltWheelBytesMax = 1'000'000'000;

sandbox::Limits limits_for(int64_t disk_bytes) {
  sandbox::Limits limits;
  // Files in /work count as memory.
  limits.memory_bytes_max = kStepMemoryBytes + disk_bytes;
  limits.disk_bytes_max = disk_bytes;
  limits.inodes_max = 1'000'000;
  limits.wall_ms_max = kStepWallMs;
  limits.output_bytes_max = 1'000'000;
  limits.artifacts_max = 0;
  return limits;
}

const json::value* output_of(const json::value& outputs, std::string_view name) {
  const json::object* object = outputs.if_object();
  const json::value* values = object ? object->if_contains("outputs") : nullptr;
  const json::object* named = values ? values->if_object() : nullptr;
  return named ? named->if_contains(to_json(name)) : nullptr;
}

Result<std::vector<std::string>> texts_of(const sandbox::Report& report, std::string_view name) {
  BCAI_TRY_ASSIGN(const json::value outputs, parse_json(report.outputs_json));
  std::vector<std::string> texts;
  const json::value* list = output_of(outputs, name);
  if (list == nullptr || !list->is_array()) return texts;
  for (const json::value& one : list->get_array()) {
    if (one.is_string()) texts.emplace_back(one.get_string());
  }
  return texts;
}

// "downloading 3 of 11" of {"progress": {"message": …}}.
std::string message_of(std::string_view line) {
  const auto parsed = parse_json(line);
  const json::object* object = parsed ? parsed->if_object() : nullptr;
  const json::value* progress = object ? object->if_contains("progress") : nullptr;
  const json::object* members = progress ? progress->if_object() : nullptr;
  const json::value* message = members ? members->if_contains("message") : nullptr;
  return message && message->is_string() ? std::string(message->get_string()) : "";
}

// Each further line two columns in, whatever it had: so none can be taken for another message.
std::string indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(" \r\n"), text.size()));
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!line.empty()) out += fmt::format("{}{}", out.empty() ? "" : "\n  ", line);
    text.remove_prefix(line.size());
  }
  return out;
}

net::ProxyOptions proxy_options(const Options& options, int64_t bytes_max) {
  net::ProxyOptions proxy;
  proxy.allow = options.index_hosts;
  // A host that the operator named may well be on a private network.
  if (options.index_url != kPyPi) proxy.trusted = options.index_hosts;
  proxy.bytes_max = bytes_max;
  proxy.on_connection = [](const net::ProxyConnection& connection) {
    log_event(connection.refusal.empty() ? LogLevel::kInfo : LogLevel::kWarn,
              "environment.connection",
              {{"target", net::to_text(connection.target)},
               {"address", connection.address},
               {"bytes_sent", connection.bytes_sent},
               {"bytes_received", connection.bytes_received},
               {"refusal", connection.refusal}});
  };
  return proxy;
}

// What a step that went wrong says of itself.
Error error_of(const sandbox::Report& report, std::string_view said, sandbox::SecurityLevel level) {
  if (report.outcome == sandbox::Outcome::kCancelled)
    return error(ErrorCode::kCancelled, "cancelled");
  // What the package's own code brings on itself.
  if (level == sandbox::SecurityLevel::kHigh && report.outcome != sandbox::Outcome::kNodeFailure &&
      !(report.outcome == sandbox::Outcome::kFinished && report.exit_code == kRefused)) {
    return error(ErrorCode::kInvalidArgument, "it ended as {}, {}: {}",
                 sandbox::name(report.outcome), report.exit_code,
                 report.detail.empty() ? indented(said) : report.detail);
  }
  const std::string text = clip_utf8(indented(said), kExplanationBytesMax);
  if (report.outcome != sandbox::Outcome::kFinished) {
    return error(ErrorCode::kInternal, "a step of building the environment failed: {}: {}",
                 sandbox::name(report.outcome), report.detail);
  }
  if (report.exit_code == kRefused) return Error{ErrorCode::kInvalidArgument, text};
  if (report.exit_code == kUnreachable) {
    return error(ErrorCode::kUnavailable, "the package index cannot be asked: {}", text);
  }
  return error(ErrorCode::kInternal, "a step of building the environment failed: {}", text);
}

}  // namespace

std::string short_version(const std::string& version) {
  return version.substr(0, version.rfind('.'));
}

std::string_view platform_name() {
#if defined(__x86_64__)
  return "linux_x86_64";
#else
  return "linux_aarch64";
#endif
}

Steps::Steps(sandbox::Engine& engine, const Options& options)
    : engine_(engine), options_(options) {}

Result<sandbox::Report> Steps::run(const Step& step, const OnProgress& on_progress,
                                   sandbox::Cancellation& cancellation) {
  BCAI_TRY(make_directories(step.scratch, 0700));
  const fs::path request = step.scratch / "request.json";
  BCAI_TRY(write_file(request, to_text(step.request)));
  sandbox::Task task;
  task.id = fmt::format("environment_{}", ++count_);
  task.code = environment_files(step.script);
  task.filename = "step.py";
  task.level = step.level;
  task.files = step.files;
  task.files.push_back({.path = "request.json", .source = request});
  task.imports_restricted = false;
  task.overlay = step.overlay;
  task.limits = step.limits;
  std::unique_ptr<net::Proxy> proxy;
  if (step.reaches_index) {
    const fs::path package_index = step.scratch / "package_index.py";
    BCAI_TRY(write_file(package_index, environment_files("python/package_index.py")));
    task.files.push_back({.path = "package_index.py", .source = package_index});
    task.proxy = step.scratch / "proxy";
    BCAI_TRY(make_directories(task.proxy, 0755));
    BCAI_TRY_ASSIGN(proxy,
                    net::Proxy::start(task.proxy / "proxy",
                                      proxy_options(options_, kResolveProxyBytesMax +
                                                                  step.limits.artifact_bytes_max)));
  }
  std::string said;
  const sandbox::Callbacks callbacks{
      .on_output =
          [&](sandbox::Stream stream, std::string_view data) {
            if (stream == sandbox::Stream::kStderr) said += data;
          },
      .on_message =
          [&](std::string_view line) {
            if (const std::string message = message_of(line); !message.empty()) {
              on_progress(message);
            }
          },
  };
  sandbox::Report report = engine_.run(task, step.scratch / "artifacts", callbacks, cancellation);
  if (report.outcome != sandbox::Outcome::kFinished || report.exit_code != 0) {
    return error_of(report, said, step.level);
  }
  if (!report.left_out.empty()) {
    const sandbox::LeftOut& one = report.left_out.front();
    return error(ErrorCode::kInvalidArgument, "{} cannot be installed: {}", one.name, one.reason);
  }
  return report;
}

Result<packaging::Lock> Steps::resolve(const std::vector<std::string>& requirements,
                                       const std::map<std::string, std::string>& base,
                                       const std::vector<Built>& built, const fs::path& tools,
                                       const fs::path& scratch,
                                       sandbox::Cancellation& cancellation) {
  json::array asked;
  for (const std::string& requirement : requirements) asked.emplace_back(requirement);
  json::object pinned;
  for (const auto& [name, version] : base) pinned[name] = version;
  json::array wheels;
  std::vector<sandbox::InputFile> files;
  for (const Built& one : built) {
    wheels.push_back(encode(one.package));
    files.push_back({.path = "built/" + one.package.wheel, .source = one.path});
  }
  BCAI_TRY_ASSIGN(const sandbox::Report report, run(
                                                    {.script = "python/resolve.py",
                                                     .request = {{"requirements", std::move(asked)},
                                                                 {"base", std::move(pinned)},
                                                                 {"built", std::move(wheels)},
                                                                 {"index_url", options_.index_url}},
                                                     .overlay = tools,
                                                     .scratch = scratch,
                                                     .reaches_index = !options_.index_url.empty(),
                                                     .limits = limits_for(kChunkBytes),
                                                     .files = std::move(files)},
                                                    [](std::string_view) {}, cancellation));
  BCAI_TRY_ASSIGN(const json::value outputs, parse_json(report.outputs_json));
  const json::value* used = output_of(outputs, "base");
  const json::value* packages = output_of(outputs, "packages");
  if (used == nullptr || packages == nullptr) {
    return error(ErrorCode::kInternal, "the resolver left no packages");
  }
  // Read as any other lock: what comes out of a sandbox is untrusted.
  std::vector<Finding> findings;
  packaging::Lock lock = packaging::decode_lock(
      json::object{{"format", 1},
                   {"python", short_version(engine_.environment().python_version)},
                   {"platform", std::string(platform_name())},
                   {"base", *used},
                   {"packages", *packages}},
      "", &findings);
  if (findings.empty()) return lock;
  return error(ErrorCode::kInvalidArgument, "the index describes packages that cannot be taken: {}",
               findings_text(findings));
}

Result<std::vector<Artifact>> Steps::fetch(const std::vector<packaging::LockedPackage>& wheels,
                                           size_t first, size_t total, const fs::path& tools,
                                           const fs::path& scratch, const OnProgress& on_progress,
                                           sandbox::Cancellation& cancellation) {
  if (options_.index_url.empty()) {
    return error(ErrorCode::kInvalidArgument,
                 "this node has no package index, and {} is in none of its wheel directories",
                 wheels.front().wheel);
  }
  json::array wanted;
  int64_t bytes = 0;
  for (const packaging::LockedPackage& wheel : wheels) {
    wanted.push_back(encode(wheel));
    bytes += wheel.bytes;
  }
  sandbox::Limits limits = limits_for(bytes + kPageBytesMax);
  limits.artifacts_max = static_cast<int64_t>(wheels.size());
  limits.artifact_bytes_max = bytes;
  BCAI_TRY_ASSIGN(sandbox::Report report, run({.script = "python/fetch.py",
                                               .request = {{"index_url", options_.index_url},
                                                           {"first", first},
                                                           {"total", total},
                                                           {"wheels", std::move(wanted)}},
                                               .overlay = tools,
                                               .scratch = scratch,
                                               .reaches_index = true,
                                               .limits = limits},
                                              on_progress, cancellation));
  for (const packaging::LockedPackage& wheel : wheels) {
    const auto found = std::find_if(
        report.artifacts.begin(), report.artifacts.end(),
        [&](const Artifact& artifact) { return artifact.name == "outputs/" + wheel.wheel; });
    if (found == report.artifacts.end() || found->sha256 != wheel.sha256) {
      return error(ErrorCode::kInternal, "{} was not fetched as the lock has it", wheel.wheel);
    }
  }
  return std::move(report.artifacts);
}

Result<std::vector<Steps::Source>> Steps::list_sources(const std::string& name,
                                                       const fs::path& tools,
                                                       const fs::path& scratch,
                                                       sandbox::Cancellation& cancellation) {
  const json::object request{{"index_url", options_.index_url}, {"name", name}};
  BCAI_TRY_ASSIGN(const sandbox::Report report, run(
                                                    {.script = "python/list_sources.py",
                                                     .request = request,
                                                     .overlay = tools,
                                                     .scratch = scratch,
                                                     .reaches_index = true,
                                                     .limits = limits_for(kPageBytesMax)},
                                                    [](std::string_view) {}, cancellation));
  BCAI_TRY_ASSIGN(const json::value outputs, parse_json(report.outputs_json));
  std::vector<Source> sources;
  const json::value* list = output_of(outputs, "sources");
  if (list == nullptr || !list->is_array()) return sources;
  for (const json::value& one : list->get_array()) {
    std::vector<Finding> findings;
    Decoder in(one, "", &findings);
    Source source;
    in.read("file", source.file, {.bytes_max = 255});
    in.read("sha256", source.sha256, {.bytes_max = 64});
    in.read("requires_python", source.requires_python);
    in.read("yanked", source.yanked);
    source.version = packaging::source_version(source.file, name);
    if (findings.empty() && !source.version.empty()) sources.push_back(std::move(source));
  }
  return sources;
}

Result<Steps::FetchedSource> Steps::fetch_source(const packaging::LockedSource& source,
                                                 const fs::path& tools, const fs::path& scratch,
                                                 sandbox::Cancellation& cancellation) {
  if (source.bytes > kSourceBytesMax) {
    return error(ErrorCode::kInvalidArgument, "{} is too large: {} bytes, allowed are {}",
                 source.file, source.bytes, kSourceBytesMax);
  }
  sandbox::Limits limits = limits_for(kSourceBytesMax + kPageBytesMax);
  limits.artifacts_max = 1;
  limits.artifact_bytes_max = kSourceBytesMax;
  BCAI_TRY_ASSIGN(sandbox::Report report, run(
                                              {.script = "python/fetch_source.py",
                                               .request = {{"index_url", options_.index_url},
                                                           {"name", source.name},
                                                           {"file", source.file},
                                                           {"sha256", source.sha256.text()},
                                                           {"bytes", source.bytes},
                                                           {"bytes_max", kSourceBytesMax}},
                                               .overlay = tools,
                                               .scratch = scratch,
                                               .reaches_index = true,
                                               .limits = limits},
                                              [](std::string_view) {}, cancellation));
  if (report.artifacts.size() != 1 || report.artifacts[0].sha256 != source.sha256) {
    return error(ErrorCode::kInternal, "{} was not fetched as it was asked for", source.file);
  }
  FetchedSource fetched{report.artifacts[0].path, report.artifacts[0].bytes, {}};
  BCAI_TRY_ASSIGN(fetched.requirements, texts_of(report, "requires"));
  return fetched;
}

Result<Steps::BuildOutcome> Steps::build(const fs::path& source, bool ask,
                                         const fs::path& environment, const fs::path& scratch,
                                         sandbox::Cancellation& cancellation) {
  sandbox::Limits limits = limits_for(kBuildDiskBytes);
  limits.memory_bytes_max = kBuildDiskBytes + kBuildMemoryBytes;
  limits.artifacts_max = 1;
  limits.artifact_bytes_max = kBuiltWheelBytesMax;
  const std::string file = source.filename();
  BCAI_TRY_ASSIGN(sandbox::Report report, run(
                                              {.script = "python/build.py",
                                               .request = {{"source", file}, {"ask", ask}},
                                               .overlay = environment,
                                               .scratch = scratch,
                                               .limits = limits,
                                               .files = {{.path = file, .source = source}},
                                               .level = sandbox::SecurityLevel::kHigh},
                                              [](std::string_view) {}, cancellation));
  BuildOutcome outcome;
  if (!report.artifacts.empty()) {
    outcome.wheel = std::move(report.artifacts[0]);
    return outcome;
  }
  BCAI_TRY_ASSIGN(outcome.lacking, texts_of(report, "requires"));
  if (!outcome.lacking.empty()) return outcome;
  return error(ErrorCode::kInvalidArgument, "it left no wheel");
}

Result<Steps::Unpacked> Steps::unpack(const std::string& wheel, const fs::path& wheels,
                                      int64_t first, bool startup_code, const fs::path& scratch,
                                      sandbox::Cancellation& cancellation) {
  // The last file of a chunk may be as large as an environment; compiled files come on top.
  const int64_t bytes = kChunkBytes + options_.environment_bytes_max;
  sandbox::Limits limits = limits_for(bytes);
  limits.artifacts_max = std::min<int64_t>(options_.files_max, 100'000);
  limits.artifact_depth_max = 64;
  limits.artifact_bytes_max = bytes;
  BCAI_TRY_ASSIGN(sandbox::Report report, run(
                                              {.script = "python/unpack.py",
                                               .request = {{"wheel", wheel},
                                                           {"first", first},
                                                           {"bytes", kChunkBytes},
                                                           {"startup_code", startup_code}},
                                               .overlay = wheels,
                                               .scratch = scratch,
                                               .reaches_index = false,
                                               .limits = limits},
                                              [](std::string_view) {}, cancellation));
  BCAI_TRY_ASSIGN(const json::value outputs, parse_json(report.outputs_json));
  const json::value* next = output_of(outputs, "next");
  return Unpacked{std::move(report.artifacts),
                  next != nullptr && next->is_int64() ? next->get_int64() : -1};
}

}  // namespace bcai::environment
