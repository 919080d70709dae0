// SPDX-License-Identifier: Apache-2.0
#include "cli/declarations.h"

#include <CLI/CLI.hpp>

#include <algorithm>

#include "base/units.h"
#include "node/config.h"
#include "protocol/network.h"
#include "protocol/state.h"

namespace bcai::cli {
namespace {

constexpr const char* kFooter =
    "First steps:\n"
    "  bcai doctor                          what this machine lacks, and how to mend it\n"
    "  bcai run --code \"print('hello')\"     runs at once, in a sandbox on this machine\n"
    "  bcai create-project my-app           a small project that trains a model\n"
    "  bcai up                              a one-machine network: coordinator and node\n"
    "\n`bcai COMMAND --help` shows options and an example; `bcai help exit-codes` the exit "
    "codes.\n";

std::string check_size(const std::string& text) {
  const Result<int64_t> size = parse_bytes(text);
  return size ? "" : size.error().message;
}

std::string check_duration(const std::string& text) {
  const Result<Millis> duration = parse_duration(text);
  return duration ? "" : duration.error().message;
}

std::string check_variable(const std::string& text) {
  const size_t equals = text.find('=');
  return equals == 0 || equals == std::string::npos
             ? fmt::format("expected NAME=VALUE, found '{}'", text)
             : "";
}

void add_connection(CLI::App* app, Connection& connection) {
  app->add_option("--endpoint", connection.endpoint,
                  "Coordinator: http://host:port, https://… or unix:/path [BCAI_ENDPOINT]")
      ->type_name("URL");
  app->add_option("--api-key", connection.api_key, "API key [BCAI_API_KEY]")->type_name("KEY");
  app->add_option("--ca-file", connection.ca_file, "Certificates to trust besides the system's")
      ->type_name("PATH");
}

void add_json(CLI::App* app, bool& json, const char* meaning = "JSON") {
  app->add_flag("--json", json, meaning);
}

void add_job(CLI::App* app, std::string& job) {
  app->add_option("ID", job, "The job's id, or `last` for your newest")->required();
}

void add_data_directory(CLI::App* app, std::string& directory) {
  app->add_option("--data-dir", directory, "Where the state lives [BCAI_DATA_DIR]")
      ->type_name("DIR");
}

std::string check_host(const std::string& text) {
  return is_host_and_port(text) ? ""
                                : fmt::format("expected host:port in lower case, found '{}'", text);
}

std::string check_host_pattern(const std::string& text) {
  return is_host_pattern(text)
             ? ""
             : fmt::format("expected host:port, *.domain:port or *:port, found '{}'", text);
}

CLI::Option* add_allow_network(CLI::App* app, std::vector<std::string>& allow,
                               const char* otherwise) {
  return app
      ->add_option("--allow-network", allow,
                   fmt::format("A host that jobs may ask for, as in pypi.org:443 or "
                               "*.example.org:443 (repeatable); {}",
                               otherwise))
      ->type_name("PATTERN")
      ->check(check_host_pattern)
      ->allow_extra_args(false);
}

void add_key_network(CLI::App* app, KeyNetwork& network) {
  CLI::Option* allow = add_allow_network(app, network.allow, "else any that a node allows");
  app->add_flag("--no-network", network.none, "Its jobs may ask for no host")->excludes(allow);
}

void add_uploads_max(CLI::App* app, std::optional<int64_t>& bytes) {
  app->add_option_function<std::string>(
         "--uploads-max", [&bytes](const std::string& text) { bytes = *parse_bytes(text); },
         "What a key may upload ahead of the jobs that name it; default: 10GB")
      ->check(check_size)
      ->type_name("SIZE");
}

void add_duration(CLI::App* app, const std::string& name, const std::string& meaning,
                  std::function<void(Millis)> set) {
  app->add_option_function<std::string>(
         name, [set](const std::string& text) { set(*parse_duration(text)); }, meaning)
      ->check(check_duration)
      ->type_name("DURATION");
}

// One value each time it is given.
void add_list(CLI::App* app, const char* name, std::vector<std::string>& values, const char* type,
              const char* meaning) {
  app->add_option(name, values, meaning)->type_name(type)->allow_extra_args(false);
}

// What it needs beyond the standard library.
void add_package_options(CLI::App* app, JobOptions& job) {
  add_list(app, "--requirements", job.requirements, "PACKAGE",
           "A package the job needs, as in 'torch>=2.0' (repeatable)");
  add_list(app, "--build-from-source", job.build_from_source, "NAME",
           "A package that --requirements need, built from its source distribution (repeatable); "
           "takes a node of the high security level");
  app->get_option("--build-from-source")->needs("--requirements");
  app->add_option("--python-version", job.python_version, "The interpreter's, as in 3.11")
      ->type_name("VERSION");
  app->add_option("--environment-lock", job.environment_lock,
                  "The packages of an earlier job: its results as `bcai results --json` prints "
                  "them, or the lock in them")
      ->type_name("FILE")
      ->excludes("--requirements");
  app->add_option("--allow-host", job.allow_hosts,
                  "A host that the job reaches, as in pypi.org:443 (repeatable); else none")
      ->type_name("HOST:PORT")
      ->check(check_host)
      ->allow_extra_args(false);
}

void add_secrets(CLI::App* app, JobOptions& job) {
  add_list(app, "--secret", job.secrets, "NAME",
           "A secret of yours (`bcai secret set NAME`) as a variable of the job (repeatable)");
}

void add_program_options(CLI::App* app, JobOptions& job) {
  add_list(app, "--input", job.inputs, "[NAME=]FILE",
           "An input of a native program and its .npy file (repeatable)");
  add_list(app, "--weights", job.weights, "FILE",
           "A safetensors file that a native program names by digest (repeatable)");
  app->add_option("--replicas", job.replicas, "Nodes that run a native program and must agree")
      ->type_name("N")
      ->check(CLI::Range(1, 5));
}

}  // namespace

Declarations::Declarations()
    : app_(std::make_unique<CLI::App>(
          "Runs machine learning in sandboxes: here, or on a network of nodes.", "bcai")) {
  app_->footer(kFooter);
  add_job_commands();
  add_network_commands();
  add_machine_commands();
}

Declarations::~Declarations() = default;

std::optional<Command> Declarations::command() const {
  const CLI::App* chosen = app_.get();
  while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
  const auto found = made_.find(chosen);
  if (found == made_.end()) return std::nullopt;
  return found->second();
}

CLI::App* Declarations::add(CLI::App* parent, const std::string& name, const std::string& meaning,
                            const std::string& example, std::function<Command()> make) {
  CLI::App* app = parent->add_subcommand(name, meaning);
  app->footer("Example:\n  " + example);
  if (make) made_[app] = std::move(make);
  return app;
}

void Declarations::add_job_options(CLI::App* app, JobOptions& job) {
  add_connection(app, job.connection);
  app->add_option("FILE", job.file, "Python file, native program, or - for standard input")
      ->type_name("PATH");
  app->add_option("ARGS", job.arguments,
                  "Arguments of the program; those that begin with - go after --");
  app->add_option_function<std::string>(
         "--code", [&job](const std::string& text) { job.code = text; },
         "The program itself, instead of a file")
      ->type_name("TEXT");
  app->add_option("--name", job.name, "Name shown in lists; default: the file's");
  app->add_option("--id,--idempotency-key", job.id,
                  "Submitting twice under one id runs once: job_… or any text of your own")
      ->type_name("ID");
  add_package_options(app, job);
  app->add_option("--gpu", job.gpu_count, "GPUs")->type_name("N")->check(CLI::Range(0, 64));
  app->add_option("--gpu-memory", job.gpu_memory, "Memory of each GPU, as in 8GB")
      ->check(check_size)
      ->type_name("SIZE");
  app->add_option("--gpu-model", job.gpu_model, "A part of the GPU's name")->type_name("NAME");
  app->add_option("--memory", job.memory, "Memory, as in 4GB")
      ->check(check_size)
      ->type_name("SIZE");
  app->add_option("--cpu", job.cpu_cores, "Cores, as in 2 or 0.5")
      ->type_name("N")
      ->check(CLI::Range(0.1, 1024.0));
  app->add_option("--disk", job.disk, "Disk, as in 10GB")->check(check_size)->type_name("SIZE");
  add_duration(app, "--timeout", "Ends the job after this long: 90s, 15m, 2h",
               [&job](Millis value) { job.timeout = value; });
  add_duration(app, "--queue-timeout", "Gives up when no node took it for this long",
               [&job](Millis value) { job.queue_timeout = value; });
  app->add_option_function<int>(
         "--max-retries", [&job](const int& count) { job.max_retries = count; },
         "Attempts after one that failed through no fault of the job")
      ->type_name("N")
      ->check(CLI::Range(0, 100));
  app->add_option_function<std::vector<std::string>>(
         "--env",
         [&job](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             const size_t equals = text.find('=');
             job.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
           }
         },
         "A variable of the job's environment (repeatable)")
      ->check(check_variable)
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  add_list(app, "--file", job.files, "PATH[:DEST]",
           "A file or directory to put into the job's working directory (repeatable)");
  add_secrets(app, job);
  add_program_options(app, job);
  app->add_option("--security-level", job.security_level,
                  "standard, or high: a kernel of gVisor's for the job alone")
      ->check(CLI::IsMember({"standard", "high"}));
  add_list(app, "--allow-import", job.allowed_imports, "MODULE",
           "A module the import policy would refuse (repeatable)");
  app->add_option("--import-policy", job.import_policy, "standard, or off on your own machines")
      ->check(CLI::IsMember({"standard", "off"}));
}

void Declarations::add_job_commands() {
  CLI::App* run = add(app_.get(), "run", "Runs a program in a sandbox and shows its output live",
                      "bcai run train.py --gpu 1 --memory 8GB --timeout 2h -- --epochs 10\n"
                      "  bcai run --code \"import torch; print(torch.__version__)\"\n"
                      "  echo 'print(1)' | bcai run -\n"
                      "  bcai run model.bcvm --input x=x.npy --replicas 2\n\n"
                      "Without an endpoint (flag, BCAI_ENDPOINT or `bcai config set endpoint URL`) "
                      "the job runs\non this machine, in the same sandbox.",
                      [this] { return run_; });
  add_job_options(run, run_.job);
  run->add_flag("--local", run_.local, "On this machine, whatever endpoint is configured");
  run->add_flag("--detach", run_.detach, "Prints the id and does not wait (needs an endpoint)");
  run->add_flag("--outputs", run_.show_outputs, "Prints the job's outputs when it has ended");
  run->add_option("--output-dir", run_.output_directory, "Downloads the job's artifacts here")
      ->type_name("DIR");
  run->add_flag("-q,--quiet", run_.quiet, "The job's own output only");
  run->add_option("--python", run_.python, "Interpreter whose packages a local job sees")
      ->type_name("PATH");
  add_data_directory(run, run_.data_directory);
  add_json(run, run_.job.json, "Events as JSON, one object a line");

  CLI::App* submit = add(app_.get(), "submit", "Queues a job and prints its id",
                         "ID=$(bcai submit train.py) && bcai wait $ID", [this] { return submit_; });
  add_job_options(submit, submit_.job);
  add_json(submit, submit_.job.json, "The job as JSON instead of the id");
  add_reading_commands();
}

void Declarations::add_reading_commands() {
  CLI::App* jobs = add(app_.get(), "jobs", "Lists jobs, newest first", "bcai jobs --state active",
                       [this] { return jobs_; });
  add_connection(jobs, jobs_.connection);
  std::vector<std::string> states;
  for (int i = 0; i <= static_cast<int>(JobState::kDisputed); ++i) {
    states.emplace_back(bcai::name(static_cast<JobState>(i)));
  }
  jobs->add_option("--state", jobs_.state, "Those in this state only")
      ->check(CLI::IsMember(states));
  jobs->add_option("--name", jobs_.name, "Those of this name only");
  jobs->add_option("--limit", jobs_.limit, "At most so many")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  add_json(jobs, jobs_.json);

  CLI::App* show = add(app_.get(), "show", "Shows a job: state and reason, attempts, events",
                       "bcai show last", [this] { return show_; });
  add_job(show, show_.job);
  add_connection(show, show_.connection);
  add_json(show, show_.json);

  CLI::App* logs = add(app_.get(), "logs", "Prints what a job wrote", "bcai logs -f last",
                       [this] { return logs_; });
  add_job(logs, logs_.job);
  logs->add_flag("-f,--follow", logs_.follow, "Goes on until the job ends; Ctrl-C only detaches");
  logs->add_option("--attempt", logs_.attempt, "An earlier attempt's")->type_name("ATTEMPT");
  add_connection(logs, logs_.connection);
  add_json(logs, logs_.json);

  CLI::App* results = add(app_.get(), "results", "Prints a job's outputs, downloads its artifacts",
                          "bcai results last -o ./out", [this] { return results_; });
  add_job(results, results_.job);
  results->add_option("-o,--output-dir", results_.output_directory, "Downloads the artifacts here")
      ->type_name("DIR");
  add_connection(results, results_.connection);
  add_json(results, results_.json);

  CLI::App* cancel = add(app_.get(), "cancel", "Cancels a job", "bcai cancel last --wait",
                         [this] { return cancel_; });
  add_job(cancel, cancel_.job);
  cancel->add_flag("--wait", cancel_.wait, "Returns when every process of the job is gone");
  add_connection(cancel, cancel_.connection);

  CLI::App* wait = add(app_.get(), "wait", "Waits until a job ends; the exit code tells how",
                       "bcai wait last --timeout 10m", [this] { return wait_; });
  add_job(wait, wait_.job);
  add_duration(wait, "--timeout", "Gives up after this long (exit code 3); the job goes on",
               [this](Millis value) { wait_.timeout = value; });
  add_connection(wait, wait_.connection);
  add_json(wait, wait_.json);
}

void Declarations::add_network_commands() {
  CLI::App* up =
      add(app_.get(), "up", "Starts a one-machine network: coordinator and node",
          "bcai up\n  bcai run train.py        (in another terminal)", [this] { return up_; });
  add_data_directory(up, up_.data_directory);
  up->add_option("--listen", up_.listen, "Address of the REST API; default: 127.0.0.1:8080")
      ->type_name("HOST:PORT");
  up->add_option("--python", up_.python, "Interpreter whose packages jobs see [BCAI_PYTHON]")
      ->type_name("PATH");
  up->add_option("--slots", up_.slots, "Jobs at once; default: one for each core")
      ->type_name("N")
      ->check(CLI::Range(1, 64));
  add_uploads_max(up, up_.uploads_bytes_max);
  up->add_flag("--strangers", up_.strangers, "Takes jobs of every key, not only of your own");
  add_allow_network(up, up_.allow_network, "else none");
  up->add_flag("!--no-save", up_.save, "Leaves the config file alone");
  up->add_flag("-v,--verbose", up_.verbose, "The log of coordinator and node");
  add_json(up, up_.json, "Says that it is ready as JSON");

  CLI::App* local = add(app_.get(), "local", "A private network for the program that starts it",
                        "bcai local --socket /run/user/1000/bcai.socket    (until input ends)",
                        [this] { return local_; });
  local->add_option("--socket", local_.socket, "Where to listen")->type_name("PATH");
  add_data_directory(local, local_.data_directory);
  local->add_option("--python", local_.python, "Interpreter whose packages jobs see")
      ->type_name("PATH");
  add_coordinator_commands();
  add_key_commands();
  add_secret_commands();
  add_node_commands();
  add_audit_commands();
}

void Declarations::add_coordinator_commands() {
  CLI::App* coordinator =
      add(app_.get(), "coordinator", "Runs a coordinator",
          "bcai coordinator --listen 0.0.0.0:8443 --tls-cert c.pem --tls-key k.pem",
          [this] { return coordinator_; });
  add_data_directory(coordinator, coordinator_.data_directory);
  coordinator
      ->add_option("--listen", coordinator_.listen,
                   "Address of the REST API; default: 127.0.0.1:8080")
      ->type_name("HOST:PORT");
  CLI::Option* certificate =
      coordinator->add_option("--tls-cert", coordinator_.tls_certificate, "Certificate chain (PEM)")
          ->type_name("PATH");
  CLI::Option* key = coordinator->add_option("--tls-key", coordinator_.tls_key, "Its key (PEM)")
                         ->type_name("PATH");
  certificate->needs(key);
  key->needs(certificate);
  coordinator
      ->add_option("--secrets-key", coordinator_.secrets_key,
                   "File of the key of secrets; default: secrets.key in the data directory")
      ->type_name("PATH");
  coordinator->add_option("--python", coordinator_.python, "Interpreter that checks jobs' syntax")
      ->type_name("PATH");
  add_uploads_max(coordinator, coordinator_.uploads_bytes_max);
  coordinator->add_flag("-v,--verbose", coordinator_.verbose, "Logs more");

  CLI::App* create_key =
      add(coordinator, "create-key", "Makes an API key in a coordinator's data directory",
          "bcai coordinator create-key --name ci --role member", [this] { return create_key_; });
  add_data_directory(create_key, create_key_.data_directory);
  create_key->add_option("--name", create_key_.name, "Whose or what for")->required();
  create_key->add_option("--role", create_key_.role, "owner, member or node")
      ->required()
      ->check(CLI::IsMember({"owner", "member", "node"}));
  add_key_network(create_key, create_key_.network);
  add_json(create_key, create_key_.json);
}

void Declarations::add_key_commands() {
  CLI::App* keys = add(app_.get(), "keys", "Lists, creates and revokes API keys (role owner)",
                       "bcai keys create --name alice --role member", [this] {
                         keys_.verb = KeysOptions::Verb::kList;
                         return keys_;
                       });
  add_connection(keys, keys_.connection);
  add_json(keys, keys_.json);
  CLI::App* create = add(keys, "create", "Makes a key and shows it once",
                         "bcai keys create --name alice --role member", [this] {
                           keys_.verb = KeysOptions::Verb::kCreate;
                           return keys_;
                         });
  create->fallthrough();
  create->add_option("--name", keys_.name, "Whose or what for")->required();
  create->add_option("--role", keys_.role, "owner, member or node")
      ->required()
      ->check(CLI::IsMember({"owner", "member", "node"}));
  add_key_network(create, keys_.network);
  CLI::App* revoke = add(keys, "revoke", "Ends a key", "bcai keys revoke key_01…", [this] {
    keys_.verb = KeysOptions::Verb::kRevoke;
    return keys_;
  });
  revoke->fallthrough();
  revoke->add_option("ID", keys_.id, "The key's id")->required();
}

void Declarations::add_secret_commands() {
  CLI::App* secret = add(app_.get(), "secret", "Keeps values that jobs get and nobody is shown",
                         "bcai secret set HF_TOKEN < token.txt\n"
                         "  bcai run train.py --secret HF_TOKEN\n\n"
                         "Without an endpoint they are kept on this machine, encrypted, for the "
                         "runs there.",
                         nullptr);
  CLI::App* set = add(secret, "set", "Stores a value: standard input, or asked for without echo",
                      "bcai secret set HF_TOKEN < token.txt", [this] {
                        secret_.verb = SecretOptions::Verb::kSet;
                        return secret_;
                      });
  set->add_option("NAME", secret_.name, "As a variable: A-Z, 0-9 and _")->required();
  set->add_option("--from-file", secret_.from_file,
                  "All of this file; of standard input a line break at the end is dropped")
      ->type_name("PATH");
  CLI::App* list =
      add(secret, "list", "Names, sizes and dates; never the values", "bcai secret list", [this] {
        secret_.verb = SecretOptions::Verb::kList;
        return secret_;
      });
  add_json(list, secret_.json);
  CLI::App* remove = add(secret, "delete", "Deletes a value; jobs that name it fail",
                         "bcai secret delete HF_TOKEN", [this] {
                           secret_.verb = SecretOptions::Verb::kDelete;
                           return secret_;
                         });
  remove->add_option("NAME", secret_.name, "The secret's name")->required();
  for (CLI::App* app : {set, list, remove}) {
    add_connection(app, secret_.connection);
    add_data_directory(app, secret_.data_directory);
  }
}

void Declarations::add_node_commands() {
  CLI::App* node = add(app_.get(), "node", "Runs a node, and shows how it does",
                       "bcai node deploy --config production.yaml", nullptr);
  CLI::App* deploy = add(node, "deploy", "Runs this machine as a node of a network",
                         "bcai node deploy --print-example > production.yaml\n"
                         "  bcai node deploy --config production.yaml",
                         [this] { return deploy_; });
  deploy->add_option("--config", deploy_.config, "The node's configuration")->type_name("PATH");
  for (const std::string_view field : node::config_fields()) {
    const std::string name(field);
    std::string flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    deploy
        ->add_option_function<std::string>(
            "--" + flag, [this, name](const std::string& text) { deploy_.flags[name] = text; },
            fmt::format("Instead of `{}` in the configuration", name))
        ->type_name("VALUE");
  }
  deploy->add_flag("--print-config", deploy_.print_config,
                   "Shows every value and where it comes from, and ends");
  deploy->add_flag("--print-example", deploy_.print_example,
                   "Shows a commented configuration, and ends");
  deploy->add_flag("-v,--verbose", deploy_.verbose, "Logs more");
  CLI::App* status = add(node, "status", "Shows how the node on this machine does",
                         "bcai node status --metrics", [this] { return status_; });
  status->add_option("--config", status_.config, "The node's configuration")->type_name("PATH");
  status
      ->add_option("--data-dir", status_.data_directory,
                   "That of `bcai up`, or the node's own [BCAI_DATA_DIR]")
      ->type_name("DIR");
  status->add_flag("--metrics", status_.metrics, "With its counters");
  add_json(status, status_.json);

  CLI::App* nodes = add(app_.get(), "nodes", "Lists the network's nodes", "bcai nodes",
                        [this] { return nodes_; });
  add_connection(nodes, nodes_.connection);
  add_json(nodes, nodes_.json);
}

void Declarations::add_audit_commands() {
  CLI::App* audit =
      add(app_.get(), "audit", "Checks and shows a node's audit log", "bcai audit verify", nullptr);
  const auto verb = [&](const char* name, const char* meaning, const char* example,
                        AuditOptions::Verb value) {
    CLI::App* app = add(audit, name, meaning, example, [this, value] {
      audit_.verb = value;
      return audit_;
    });
    app->add_option("PATH", audit_.path,
                    "A file of the log, or its directory; default: of the node on this machine");
    app->add_option("--data-dir", audit_.data_directory,
                    "That of `bcai up`, or the node's own [BCAI_DATA_DIR]")
        ->type_name("DIR");
    add_json(app, audit_.json);
    return app;
  };
  CLI::App* verify = verb("verify",
                          "Holds each record against the one before; exit code 1 names "
                          "the first that is broken",
                          "bcai audit verify", AuditOptions::Verb::kVerify);
  verify
      ->add_option("--head", audit_.head,
                   "A record that was told earlier, as in the results of its job")
      ->type_name("SEQ:HASH");
  CLI::App* show =
      verb("show", "Prints the records", "bcai audit show --json", AuditOptions::Verb::kShow);
  show->add_option("--job", audit_.job, "Those of this job only")->type_name("ID");
}

void Declarations::add_machine_commands() {
  CLI::App* project = add(
      app_.get(), "create-project", "Makes a directory with a project that trains",
      "bcai create-project my-app && cd my-app && bcai run train.py", [this] { return project_; });
  project->add_option("NAME", project_.name, "The new directory")->required();
  add_config_commands();
  add_vm_commands();

  CLI::App* doctor = add(app_.get(), "doctor", "Says what this machine lacks, and what mends it",
                         "bcai doctor", [this] { return doctor_; });
  doctor->add_option("--python", doctor_.python, "Interpreter whose packages jobs would see")
      ->type_name("PATH");
  add_data_directory(doctor, doctor_.data_directory);
  add_json(doctor, doctor_.json);

  CLI::App* completion = add(app_.get(), "completion", "Prints a completion script for your shell",
                             "source <(bcai completion bash)", [this] { return completion_; });
  completion->add_option("SHELL", completion_.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));

  CLI::App* version =
      add(app_.get(), "version", "Prints the version", "bcai version", [this] { return version_; });
  add_json(version, version_.json);
}

void Declarations::add_config_commands() {
  CLI::App* config = add(app_.get(), "config", "Shows and changes your settings",
                         "bcai config set endpoint https://bcai.example.org", [this] {
                           config_.verb = ConfigOptions::Verb::kList;
                           return config_;
                         });
  add_json(config, config_.json);
  const auto verb = [&](const char* name, const char* meaning, const char* example,
                        ConfigOptions::Verb value) {
    CLI::App* app = add(config, name, meaning, example, [this, value] {
      config_.verb = value;
      return config_;
    });
    app->fallthrough();
    return app;
  };
  verb("list", "Every setting, and where it comes from", "bcai config list",
       ConfigOptions::Verb::kList);
  verb("path", "The config file's path", "bcai config path", ConfigOptions::Verb::kPath);
  CLI::App* get = verb("get", "One setting", "bcai config get endpoint", ConfigOptions::Verb::kGet);
  get->add_option("KEY", config_.key, "The setting")->required();
  CLI::App* set = verb("set", "Writes a setting into the config file",
                       "bcai config set endpoint http://127.0.0.1:8080", ConfigOptions::Verb::kSet);
  set->add_option("KEY", config_.key, "The setting")->required();
  set->add_option("VALUE", config_.value, "Its value")->required();
  CLI::App* unset = verb("unset", "Removes a setting from the config file",
                         "bcai config unset endpoint", ConfigOptions::Verb::kUnset);
  unset->add_option("KEY", config_.key, "The setting")->required();
}

}  // namespace bcai::cli
