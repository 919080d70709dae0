// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <algorithm>
#include <cmath>

#include "audit/log.h"
#include "base/file.h"
#include "base/log.h"
#include "base/seal.h"
#include "node/agent.h"
#include "node/identity.h"
#include "node/job_network.h"
#include "node/proof.h"

namespace bcai::node {
namespace {

constexpr double kMemoryShare = 0.8;
constexpr int64_t kCacheShare = 4;  // of the disk offered: one part in

// What the operator offers, never more than there is.
template <typename T>
T offered(std::string_view what, T asked, T by_default, T there_is) {
  if (asked <= 0) return by_default;
  if (asked > there_is) {
    log_event(LogLevel::kWarn, "node.offer_cut",
              {{"what", what}, {"asked", asked}, {"there_is", there_is}});
  }
  return std::min(asked, there_is);
}

void apply_offer(const NodeConfig& config, Capabilities* machine) {
  machine->cpu_millicores =
      offered<int64_t>("cpu_millicores", std::llround(config.cpu_cores * 1000),
                       machine->cpu_millicores, machine->cpu_millicores);
  machine->memory_bytes = offered<int64_t>(
      "memory_bytes", config.memory_bytes,
      static_cast<int64_t>(static_cast<double>(machine->memory_bytes) * kMemoryShare),
      machine->memory_bytes);
  machine->disk_bytes = offered<int64_t>("disk_bytes", config.disk_bytes, machine->disk_bytes / 2,
                                         machine->disk_bytes);
  machine->slots = config.slots > 0 ? config.slots
                                    : std::max(1, static_cast<int>(machine->cpu_millicores / 1000));
  // The sandbox gives a job no device: to offer a GPU would be to promise what is not there.
  for (const Gpu& gpu : machine->gpus) {
    log_event(LogLevel::kWarn, "node.gpu_not_offered",
              {{"model", gpu.model}, {"why", "jobs in the sandbox cannot use GPUs yet"}});
  }
  machine->gpus.clear();
  machine->strangers = config.strangers;
  machine->labels = config.labels;
}

Result<void> check_strangers(const Capabilities& machine) {
  std::string missing;
  for (const SelfTestLine& line : machine.self_test) {
    if (line.holds) continue;
    missing += fmt::format("{}{}: {}", missing.empty() ? "" : "; ", line.name, line.detail);
  }
  if (machine.self_test.empty()) missing = "the self-test could not be run";
  if (missing.empty()) return {};
  return error(ErrorCode::kFailedPrecondition,
               "this machine cannot take strangers' jobs: {} (mend it, or set strangers: false)",
               missing);
}

void describe_sandbox(const sandbox::Engine& engine, Capabilities* machine) {
  machine->sandbox_runtime = engine.host().runtime;
  machine->python_version = engine.environment().python_version;
  for (const auto& [name, version] : engine.environment().packages) {
    machine->packages[name] = version;
  }
}

// A node without runsc runs the other jobs.
void offer_high_level(sandbox::Engine& engine, Capabilities* machine) {
  const auto level = engine.high();
  if (level) {
    machine->security_levels.emplace_back("high");
    machine->sandbox_runtime += ", " + level->runtime;
    return;
  }
  log_event(LogLevel::kInfo, "node.no_high_level", {{"why", level.error().message}});
}

environment::Options environment_options(const NodeConfig& config) {
  environment::Options options;
  options.directory = config.data_directory / "environments";
  options.uv = config.uv;
  options.search = config.search;
  options.search.push_back(std::filesystem::path(config.python).parent_path());
  std::error_code failed;
  options.search.push_back(std::filesystem::read_symlink("/proc/self/exe", failed).parent_path());
  options.index_url = config.index_url == "none" ? "" : config.index_url;
  for (const std::string& host : config.index_hosts) {
    if (auto parsed = net::parse_host_port(host)) options.index_hosts.push_back(*parsed);
  }
  options.wheel_directories.assign(config.wheel_directories.begin(),
                                   config.wheel_directories.end());
  options.bytes_max = config.environment_bytes;
  options.environment_bytes_max = std::min(options.environment_bytes_max, config.environment_bytes);
  return options;
}

// A node without uv runs the jobs that its base is enough for.
std::unique_ptr<environment::Environments> open_environments(const NodeConfig& config,
                                                             sandbox::Engine& engine) {
  auto opened = environment::Environments::open(environment_options(config), engine);
  if (opened) return *std::move(opened);
  log_event(LogLevel::kWarn, "node.no_environments", {{"why", opened.error().message}});
  return nullptr;
}

PrepareEnvironment preparer(environment::Environments* environments) {
  if (environments == nullptr) return {};
  return [environments](const JobSpec& spec, const environment::OnProgress& on_progress,
                        sandbox::Cancellation& cancellation) {
    return environments->prepare({.requirements = spec.requirements,
                                  .build_from_source = spec.build_from_source,
                                  .python_version = spec.python_version,
                                  .lock = spec.environment_lock},
                                 on_progress, cancellation);
  };
}

// What every attempt of this node runs under, in its audit records; the first record tells it in
// full.
Result<json::object> audit_start(const NodeConfig& config, const Capabilities& machine,
                                 const sandbox::Engine& engine, audit::Log& log) {
  json::array self_test;
  for (const SelfTestLine& line : machine.self_test) {
    self_test.push_back(
        json::object{{"name", line.name}, {"holds", line.holds}, {"detail", line.detail}});
  }
  json::object sandbox{{"level", "standard"},
                       {"runtime", machine.sandbox_runtime},
                       {"cgroups", engine.host().cgroups}};
  json::object tested = sandbox;
  tested["kernel"] = machine.kernel;
  tested["version"] = machine.version;
  tested["lines"] = std::move(self_test);
  const std::string id = Sha256::of(to_text(tested)).text();
  sandbox["self_test"] = id;
  BCAI_TRY(log.append(
      "node_started",
      {{"strangers", config.strangers}, {"self_test", id}, {"self_tested", std::move(tested)}}));
  return sandbox;
}

}  // namespace

struct Node::Impl {
  std::unique_ptr<audit::Log> audit;
  std::unique_ptr<sandbox::Engine> engine;  // outlives the agent, which runs in it
  std::unique_ptr<environment::Environments> environments;
  std::unique_ptr<Agent> agent;
};

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() { stop(); }
void Node::stop() { impl_->agent->stop(); }
Node::Status Node::status() const { return impl_->agent->status(); }

Result<std::unique_ptr<Node>> Node::start(NodeConfig config) {
  if (config.data_directory.empty()) {
    return error(ErrorCode::kInvalidArgument, "data_directory is required");
  }
  BCAI_TRY(make_directories(config.data_directory, 0700));
  forbid_core_dumps();
  raise_open_files_limit();
  SystemRandom random;
  BCAI_TRY_ASSIGN(SigningKey identity, load_identity(config.data_directory / "identity", random));

  Capabilities machine = detect_machine(config.data_directory);
  apply_offer(config, &machine);
  auto impl = std::make_unique<Impl>();
  BCAI_TRY_ASSIGN(impl->engine,
                  sandbox::Engine::make({.state_directory = config.data_directory / "sandbox",
                                         .python = config.python,
                                         .native_program = config.program,
                                         // Their user ids are shared with other nodes here.
                                         .slots_max = std::max(64, 4 * machine.slots),
                                         .warm_starts = config.warm_starts}));
  sandbox::Engine& engine = *impl->engine;
  describe_sandbox(engine, &machine);
  machine.self_test = self_test({.file = config.data_directory / "self_test.json",
                                 .afresh = config.strangers,
                                 .machine = &machine},
                                [&engine] { return engine.self_test(); });
  if (config.strangers) BCAI_TRY(check_strangers(machine));
  if (config.high_level) offer_high_level(engine, &machine);
  impl->environments = open_environments(config, engine);
  machine.environments = impl->environments != nullptr;
  machine.network = config.network;

  AgentOptions options;
  options.link = {.dial = dial_endpoint(config.coordinator, config.ca_file),
                  .key = config.key,
                  .name = config.name.empty() ? machine.hostname : config.name,
                  .identity = identity,
                  .capabilities = machine};
  options.means.prepare = preparer(impl->environments.get());
  options.means.run =
      [&engine](const sandbox::Task& task, const std::filesystem::path& artifacts_to,
                const sandbox::Callbacks& callbacks, sandbox::Cancellation& cancellation) {
        return engine.run(task, artifacts_to, callbacks, cancellation);
      };
  BCAI_TRY_ASSIGN(impl->audit, audit::Log::open(config.data_directory / "audit"));
  BCAI_TRY_ASSIGN(options.means.audit.sandbox, audit_start(config, machine, engine, *impl->audit));
  options.means.audit.log = impl->audit.get();
  BCAI_TRY_ASSIGN(options.means.open_network,
                  make_open_network({.patterns = config.network,
                                     .bytes_max = config.network_bytes,
                                     .directory = config.data_directory / "proxies"}));
  options.data_directory = config.data_directory;
  options.offered = {.cpu_millicores = machine.cpu_millicores,
                     .memory_bytes = machine.memory_bytes,
                     .disk_bytes = machine.disk_bytes,
                     .slots = machine.slots};
  options.cache_bytes_max = machine.disk_bytes / kCacheShare;
  BCAI_TRY_ASSIGN(impl->agent, Agent::start(std::move(options)));
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

}  // namespace bcai::node
