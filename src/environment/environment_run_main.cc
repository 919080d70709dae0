// SPDX-License-Identifier: Apache-2.0
// Prepares environments without a network: for tests and an operator's doubts.
//
//   environment_run FILE
//
// FILE: {"state_directory", "python", "runsc", "uv", "index_url", "index_hosts": ["host:port"],
// "wheel_directories": […], "bytes_max", "environment_bytes_max", "files_max", "rounds":
// [[request]]}. The requests of a round run at once: {"requirements": […], "build_from_source":
// […], "python_version", "lock", "hold": keep it in use until the end, "code": Python to run in
// it}. Prints a list of lists of
// {"overlay", "lock", "files", "progress", "ms", "stdout", "exit_code"} or {"error", "code", …}.
#include <ctime>
#include <list>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "environment/environment.h"

namespace bcai::environment {
namespace {

namespace fs = std::filesystem;

// Finer than Clock's milliseconds.
double now_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

struct Bench {
  sandbox::Engine& engine;
  Environments& environments;
  fs::path state;
  std::atomic<int> count{0};
  std::mutex mutex;
  std::list<Environment> held;
};

void run_code(Bench& bench, const std::string& code, const fs::path& overlay, json::object* out) {
  sandbox::Task task;
  task.id = fmt::format("job_{}", ++bench.count);
  task.code = code;
  task.imports_restricted = false;
  task.overlay = overlay;
  task.limits.memory_bytes_max = 4'000'000'000;
  task.limits.cpu_millicores = 2000;
  std::string text;
  sandbox::Cancellation cancellation;
  const sandbox::Callbacks callbacks{
      .on_output = [&](sandbox::Stream, std::string_view data) { text += data; }};
  const auto report =
      bench.engine.run(task, bench.state / "artifacts" / task.id, callbacks, cancellation);
  (*out)["stdout"] = text;
  (*out)["exit_code"] = report.exit_code;
}

json::object prepare(Bench& bench, const Request& asked, const std::string& code, bool hold) {
  json::object out;
  json::array progress;
  sandbox::Cancellation cancellation;
  const double start = now_ms();
  auto made = bench.environments.prepare(
      asked, [&](std::string_view what) { progress.emplace_back(to_json(what)); }, cancellation);
  out["ms"] = now_ms() - start;
  out["progress"] = std::move(progress);
  if (!made) {
    out["error"] = made.error().message;
    out["code"] = to_json(error_code_name(made.error().code));
    return out;
  }
  out["overlay"] = made->overlay().string();
  out["lock"] = packaging::encode(made->lock());
  if (!made->overlay().empty()) {
    if (const auto manifest = read_file(made->overlay().parent_path() / "files.json")) {
      if (const auto parsed = parse_json(*manifest)) out["files"] = parsed->at("files");
    }
  }
  if (!code.empty()) run_code(bench, code, made->overlay(), &out);
  if (hold) {
    const std::lock_guard lock(bench.mutex);
    bench.held.push_back(*std::move(made));
  }
  return out;
}

Result<json::object> answer(Bench& bench, const json::value& request) {
  std::vector<Finding> findings;
  Decoder in(request, "", &findings);
  Request asked;
  std::string code;
  bool hold = false;
  in.read("requirements", asked.requirements, 1000, {.bytes_max = 1000});
  in.read("build_from_source", asked.build_from_source);
  in.read("python_version", asked.python_version);
  in.read("code", code, {.bytes_max = 1 << 20});
  in.read("hold", hold);
  if (const json::value* lock = in.take("lock")) {
    asked.lock = packaging::decode_lock(*lock, "/lock", &findings);
  }
  if (!findings.empty()) return Error{ErrorCode::kInvalidArgument, findings_text(findings)};
  return prepare(bench, asked, code, hold);
}

json::array run_round(Bench& bench, const json::array& requests) {
  std::vector<json::object> answers(requests.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] {
      auto answered = answer(bench, requests[i]);
      answers[i] = answered ? *std::move(answered)
                            : json::object{{"error", answered.error().message},
                                           {"code", "request"},
                                           {"progress", json::array()}};
    });
  }
  for (std::thread& thread : threads) thread.join();
  json::array out;
  for (json::object& one : answers) out.push_back(std::move(one));
  return out;
}

Result<void> run(const char* file) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(file));
  BCAI_TRY_ASSIGN(const json::value request, parse_json(text));
  std::vector<Finding> findings;
  Decoder in(request, "", &findings);
  std::string state;
  std::vector<std::string> hosts;
  std::vector<std::string> directories;
  sandbox::EngineOptions engine_options;
  Options options;
  in.require("state_directory", state);
  in.read("python", engine_options.python);
  in.read("runsc", engine_options.runsc);
  in.read("uv", options.uv);
  in.read("index_url", options.index_url);
  in.read("index_hosts", hosts);
  in.read("wheel_directories", directories);
  in.read("bytes_max", options.bytes_max);
  in.read("environment_bytes_max", options.environment_bytes_max);
  in.read("files_max", options.files_max);
  const json::value* rounds = in.take("rounds");
  in.refuse_unknown();
  if (!findings.empty() || rounds == nullptr || !rounds->is_array()) {
    return Error{ErrorCode::kInvalidArgument, findings_text(findings)};
  }
  for (const std::string& host : hosts) {
    BCAI_TRY_ASSIGN(options.index_hosts.emplace_back(), net::parse_host_port(host));
  }
  options.wheel_directories.assign(directories.begin(), directories.end());
  options.directory = fs::path(state) / "environments";
  engine_options.state_directory = fs::path(state) / "sandbox";
  BCAI_TRY_ASSIGN(const auto engine, sandbox::Engine::make(engine_options));
  BCAI_TRY_ASSIGN(const auto environments, Environments::open(options, *engine));
  Bench bench{*engine, *environments, state, {}, {}, {}};
  json::array out;
  for (const json::value& round : rounds->get_array()) {
    out.push_back(run_round(bench, round.as_array()));
  }
  fmt::print("{}\n", to_text(out));
  return {};
}

}  // namespace
}  // namespace bcai::environment

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: environment_run FILE\n");
    return 2;
  }
  if (auto ran = bcai::environment::run(argv[1]); !ran) {
    fmt::print(stderr, "{}\n", ran.error().message);
    return 1;
  }
  return 0;
}
