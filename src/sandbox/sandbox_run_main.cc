// SPDX-License-Identifier: Apache-2.0
// Runs tasks without a network: for the escape suite, the benchmarks and an operator's doubts.
//
//   sandbox_run [options] FILE     FILE ("-": standard input) holds a task, or {"tasks": […]}
//   sandbox_run [options] --self-test
//
// Options, also as members of FILE with "_" for "-": --state-directory DIR, --python PROGRAM,
// --runc PROGRAM, --runsc PROGRAM, --no-seccomp ("seccomp": false), --artifacts DIR, --parallel N,
// --repeat N,
// --start cold|forked|warm|any: forked and warm wait before each task until it would start so, any
// before the first alone.
//
// A task: {"id", "tenant", "security_level", "code" | "code_file", "filename", "arguments": […],
// "environment": {…}, "secrets": {…}, "files": [{"path", "source"}], "imports_restricted",
// "allowed_imports": […], "overlay", "proxy", "cancel_after_ms", "limits": {"memory_bytes_max": …,
// … , "grace_ms"}}. Prints {"host": …, "make_ms": …, "runs": [{"report", "stdout", "stderr",
// "messages", "total_ms"}]}; exit code 0 when everything could be run, whatever came of it.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {
namespace {

struct Request {
  EngineOptions engine;
  std::filesystem::path artifacts;
  std::string start = "cold";
  bool self_test = false;
  int64_t parallel = 1;
  int64_t repeat = 1;
  std::vector<json::object> tasks;
};

// Finer than Clock's milliseconds: what is measured here takes some tens.
double now_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(to_json(name));
}

std::string text(const json::object& object, std::string_view name, std::string_view standard) {
  const json::value* value = member(object, name);
  return std::string(value && value->is_string() ? to_std(value->get_string()) : standard);
}

int64_t number(const json::object& object, std::string_view name, int64_t standard) {
  const json::value* value = member(object, name);
  if (!value) return standard;
  if (value->is_int64()) return value->get_int64();
  return value->is_double() ? static_cast<int64_t>(value->get_double()) : standard;
}

bool flag(const json::object& object, std::string_view name, bool standard) {
  const json::value* value = member(object, name);
  return value && value->is_bool() ? value->get_bool() : standard;
}

std::vector<std::string> texts(const json::object& object, std::string_view name) {
  std::vector<std::string> out;
  const json::value* value = member(object, name);
  if (!value || !value->is_array()) return out;
  for (const json::value& item : value->get_array()) {
    if (item.is_string()) out.emplace_back(item.get_string());
  }
  return out;
}

void read_limits(const json::object& object, Limits* limits) {
  const std::pair<const char*, int64_t*> fields[] = {
      {"memory_bytes_max", &limits->memory_bytes_max},
      {"disk_bytes_max", &limits->disk_bytes_max},
      {"inodes_max", &limits->inodes_max},
      {"processes_max", &limits->processes_max},
      {"open_files_max", &limits->open_files_max},
      {"cpu_millicores", &limits->cpu_millicores},
      {"cpu_ms_max", &limits->cpu_ms_max},
      {"wall_ms_max", &limits->wall_ms_max},
      {"file_bytes_max", &limits->file_bytes_max},
      {"output_bytes_max", &limits->output_bytes_max},
      {"output_bytes_kill", &limits->output_bytes_kill},
      {"artifacts_max", &limits->artifacts_max},
      {"artifact_bytes_max", &limits->artifact_bytes_max},
      {"carried_bytes_max", &limits->carried_bytes_max},
      {"denied_calls_max", &limits->denied_calls_max},
  };
  for (const auto& [name, field] : fields) *field = number(object, name, *field);
  limits->grace = Millis(number(object, "grace_ms", limits->grace.count()));
}

Result<Task> read_task(const json::object& object, const std::string& standard_id) {
  Task task;
  task.id = text(object, "id", standard_id);
  task.code = text(object, "code", "");
  task.tenant = text(object, "tenant", "");
  const std::string level = text(object, "security_level", "standard");
  if (level != "standard" && level != "high") {
    return error(ErrorCode::kInvalidArgument, "security_level is '{}', expected standard or high",
                 level);
  }
  task.level = level == "high" ? SecurityLevel::kHigh : SecurityLevel::kStandard;
  if (const std::string file = text(object, "code_file", ""); !file.empty()) {
    BCAI_TRY_ASSIGN(task.code, read_file(file));
    task.filename = std::filesystem::path(file).filename();
  }
  task.filename = text(object, "filename", task.filename);
  task.arguments = texts(object, "arguments");
  task.native = texts(object, "native");
  task.overlay = text(object, "overlay", "");
  task.proxy = text(object, "proxy", "");
  task.allowed_imports = texts(object, "allowed_imports");
  task.imports_restricted = flag(object, "imports_restricted", true);
  if (const json::value* environment = member(object, "environment");
      environment && environment->is_object()) {
    for (const auto& [name, value] : environment->get_object()) {
      if (value.is_string()) task.environment.emplace_back(name, value.get_string());
    }
  }
  if (const json::value* secrets = member(object, "secrets"); secrets && secrets->is_object()) {
    for (const auto& [name, value] : secrets->get_object()) {
      if (value.is_string()) task.secrets.emplace_back(name, value.get_string());
    }
  }
  if (const json::value* files = member(object, "files"); files && files->is_array()) {
    for (const json::value& file : files->get_array()) {
      if (!file.is_object()) continue;
      task.files.push_back(
          {text(file.get_object(), "path", ""), text(file.get_object(), "source", "")});
    }
  }
  if (const json::value* limits = member(object, "limits"); limits && limits->is_object()) {
    read_limits(limits->get_object(), &task.limits);
  }
  return task;
}

// Null: they were not counted.
json::value encode_denied(const Report& report) {
  if (!report.denied_calls) return nullptr;
  json::object out;
  for (const auto& [call, count] : *report.denied_calls) out[call] = count;
  return out;
}

json::object encode(const Report& report) {
  json::array artifacts;
  for (const Artifact& artifact : report.artifacts) {
    artifacts.push_back(json::object{{"name", artifact.name},
                                     {"path", artifact.path.string()},
                                     {"sha256", artifact.sha256.text()},
                                     {"bytes", artifact.bytes}});
  }
  json::array left_out;
  for (const LeftOut& left : report.left_out) {
    left_out.push_back(json::object{{"name", left.name}, {"reason", left.reason}});
  }
  const Usage& usage = report.usage;
  json::object out{{"outcome", to_json(name(report.outcome))},
                   {"exit_code", report.exit_code},
                   {"detail", report.detail},
                   {"usage", json::object{{"wall_ms", usage.wall_ms},
                                          {"cpu_ms", usage.cpu_ms},
                                          {"memory_peak_bytes", usage.memory_peak_bytes},
                                          {"processes_peak", usage.processes_peak},
                                          {"output_bytes", usage.output_bytes},
                                          {"output_bytes_dropped", usage.output_bytes_dropped}}},
                   {"denied_calls", encode_denied(report)},
                   {"uid", report.uid},
                   {"start", to_json(name(report.start))},
                   {"runtime", report.runtime},
                   {"self_test", report.self_test},
                   {"start_ms", report.start_ms},
                   {"run_ms", report.run_ms},
                   {"overtime_ms", report.overtime_ms},
                   {"collect_ms", report.collect_ms},
                   {"artifacts", std::move(artifacts)},
                   {"left_out", std::move(left_out)}};
  const auto outputs = parse_json(report.outputs_json);
  out["outputs"] = outputs ? *outputs : json::value(nullptr);
  if (!outputs && !report.outputs_json.empty()) out["outputs_text"] = report.outputs_json;
  return out;
}

// What a job wrote, as text that JSON can hold: each byte above 127 that is not UTF-8 becomes '?'.
std::string printable(const std::string& bytes) {
  if (parse_json(to_text(json::array{bytes}))) return bytes;
  std::string out = bytes;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) > 127) c = '?';
  }
  return out;
}

json::object run_one(Engine& engine, const Request& request, const json::object& object,
                     const std::string& id) {
  auto task = read_task(object, id);
  if (!task) return {{"error", task.error().message}};
  if (request.start == "forked" || request.start == "warm") {
    if (auto warm = engine.await_warm(*task); !warm) return {{"error", warm.error().message}};
  }
  std::string out;
  std::string err;
  json::array messages;
  double first_output = -1;
  const double began = now_ms();
  const Callbacks callbacks{
      .on_started = {},
      .on_output =
          [&](Stream stream, std::string_view data) {
            if (first_output < 0) first_output = now_ms() - began;
            (stream == Stream::kStdout ? out : err).append(data);
          },
      .on_message =
          [&](std::string_view line) {
            const auto message = parse_json(line);
            messages.push_back(message ? *message : json::value(printable(std::string(line))));
          }};
  Cancellation cancellation;
  std::thread canceller;
  double cancelled_at = -1;
  if (const int64_t after = number(object, "cancel_after_ms", -1); after >= 0) {
    canceller = std::thread([&, after] {
      std::this_thread::sleep_for(Millis(after));
      cancelled_at = now_ms();
      cancellation.cancel();
    });
  }
  const Report report = engine.run(*task, request.artifacts / task->id, callbacks, cancellation);
  const double total = now_ms() - began;
  if (canceller.joinable()) canceller.join();
  json::object result{{"id", task->id},
                      {"report", encode(report)},
                      {"stdout", printable(out)},
                      {"stderr", printable(err)},
                      {"messages", std::move(messages)},
                      {"first_output_ms", first_output},
                      {"total_ms", total}};
  if (cancelled_at >= 0) result["cancel_to_end_ms"] = began + total - cancelled_at;
  return result;
}

json::array run_all(Engine& engine, const Request& request) {
  if (request.start == "any") {
    if (auto first = read_task(request.tasks.front(), "first")) (void)engine.await_warm(*first);
  }
  const size_t count = request.tasks.size() * static_cast<size_t>(request.repeat);
  std::vector<json::object> results(count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      results[i] = run_one(engine, request, request.tasks[i % request.tasks.size()],
                           fmt::format("task_{}", i));
    }
  };
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < request.parallel; i++) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  json::array out;
  for (json::object& result : results) out.push_back(std::move(result));
  return out;
}

json::array self_test(Engine& engine, bool* holds) {
  json::array lines;
  for (const SelfTestLine& line : engine.self_test()) {
    lines.push_back(
        json::object{{"name", line.name}, {"holds", line.holds}, {"detail", line.detail}});
    *holds &= line.holds;
  }
  return lines;
}

json::object encode(const Host& host) {
  json::array lacking;
  for (const std::string& sentence : host.lacking) lacking.emplace_back(sentence);
  json::array advice;
  for (const std::string& sentence : host.advice) advice.emplace_back(sentence);
  return {{"runtime", host.runtime},
          {"cgroups", host.cgroups},
          {"rootless", host.rootless},
          {"lacking", std::move(lacking)},
          {"advice", std::move(advice)}};
}

void read_options(const json::object& object, Request* request) {
  EngineOptions& engine = request->engine;
  engine.state_directory = text(object, "state_directory", engine.state_directory.string());
  engine.python = text(object, "python", engine.python);
  engine.runc = text(object, "runc", engine.runc);
  engine.runsc = text(object, "runsc", engine.runsc);
  engine.seccomp = flag(object, "seccomp", engine.seccomp);
  engine.cgroup_parent = text(object, "cgroup_parent", engine.cgroup_parent);
  request->start = text(object, "start", request->start);
  engine.warm_starts = request->start != "cold";
  if (request->start == "forked") engine.waiting_max = 0;
  request->artifacts = text(object, "artifacts", request->artifacts.string());
  request->parallel = number(object, "parallel", request->parallel);
  request->repeat = number(object, "repeat", request->repeat);
}

Result<void> read_request(const std::string& path, Request* request) {
  BCAI_TRY_ASSIGN(const std::string data, read_file(path == "-" ? "/dev/stdin" : path));
  BCAI_TRY_ASSIGN(const json::value value, parse_json(data));
  if (!value.is_object()) {
    return error(ErrorCode::kInvalidArgument, "{} holds no JSON object", path);
  }
  const json::object& object = value.get_object();
  read_options(object, request);
  const json::value* tasks = member(object, "tasks");
  if (!tasks || !tasks->is_array()) {
    request->tasks.push_back(object);
    return {};
  }
  for (const json::value& task : tasks->get_array()) {
    if (task.is_object()) request->tasks.push_back(task.get_object());
  }
  return {};
}

Result<Request> parse_arguments(int argc, char** argv) {
  Request request;
  request.engine.state_directory = "/var/lib/bcai/sandbox_run";
  json::object options;
  std::string file;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    if (argument == "--self-test") {
      request.self_test = true;
    } else if (argument == "--no-seccomp") {
      options["seccomp"] = false;
    } else if (argument == "--batch") {
      // A file of several tasks says so itself.
    } else if (argument.starts_with("--") && i + 1 < argc) {
      std::string name = argument.substr(2);
      for (char& c : name) c = c == '-' ? '_' : c;
      const std::string value = argv[++i];
      if (name == "parallel" || name == "repeat") {
        options[name] = static_cast<int64_t>(std::strtoll(value.c_str(), nullptr, 10));
      } else {
        options[name] = value;
      }
    } else {
      file = argument;
    }
  }
  if (file.empty() && !request.self_test) {
    return error(ErrorCode::kInvalidArgument, "usage: sandbox_run [options] FILE | --self-test");
  }
  if (!file.empty()) BCAI_TRY(read_request(file, &request));
  read_options(options, &request);
  if (request.artifacts.empty()) request.artifacts = request.engine.state_directory / "artifacts";
  return request;
}

int run(int argc, char** argv) {
  auto request = parse_arguments(argc, argv);
  if (!request) {
    std::fprintf(stderr, "%s\n", request.error().message.c_str());
    return 2;
  }
  const double began = now_ms();
  auto engine = Engine::make(request->engine);
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().message.c_str());
    return 1;
  }
  json::object out{{"host", encode((*engine)->host())},
                   {"python", (*engine)->environment().python_version},
                   {"make_ms", now_ms() - began}};
  bool holds = true;
  if (request->self_test) {
    out["self_test"] = self_test(**engine, &holds);
  } else {
    const double from = now_ms();
    out["runs"] = run_all(**engine, *request);
    out["runs_ms"] = now_ms() - from;
  }
  std::printf("%s\n", to_pretty_text(out).c_str());
  return holds ? 0 : 1;
}

}  // namespace
}  // namespace bcai::sandbox

int main(int argc, char** argv) { return bcai::sandbox::run(argc, argv); }
