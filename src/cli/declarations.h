// SPDX-License-Identifier: Apache-2.0
// Every subcommand and every option, declared once: parsing, help and completion come from here.
// Internal to arguments.cc, which alone includes it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/options.h"

namespace CLI {
class App;
}

namespace bcai::cli {

// Lives as long as its App, which points into the structs.
class Declarations {
 public:
  Declarations();
  ~Declarations();
  Declarations(const Declarations&) = delete;
  Declarations& operator=(const Declarations&) = delete;

  CLI::App& app() { return *app_; }

  // Of the innermost subcommand that was given.
  std::optional<Command> command() const;

 private:
  CLI::App* add(CLI::App* parent, const std::string& name, const std::string& meaning,
                const std::string& example, std::function<Command()> make);
  void add_job_options(CLI::App* app, JobOptions& job);
  void add_job_commands();
  void add_reading_commands();
  void add_network_commands();
  void add_coordinator_commands();
  void add_key_commands();
  void add_secret_commands();
  void add_node_commands();
  void add_audit_commands();
  void add_machine_commands();
  void add_config_commands();
  void add_vm_commands();
  CLI::App* add_vm_import(CLI::App* vm);
  void add_vm_planning(CLI::App* vm);
  void add_weights(CLI::App* app);
  void add_threads(CLI::App* app);
  void add_simd_level(CLI::App* app);
  void add_vm_runs(CLI::App* vm);
  CLI::App* add_vm(CLI::App* vm, const char* name, const char* meaning, const char* example,
                   VmOptions::Verb verb);

  std::unique_ptr<CLI::App> app_;
  std::map<const CLI::App*, std::function<Command()>> made_;
  RunOptions run_;
  SubmitOptions submit_;
  JobsOptions jobs_;
  ShowOptions show_;
  LogsOptions logs_;
  ResultsOptions results_;
  CancelOptions cancel_;
  WaitOptions wait_;
  NodesOptions nodes_;
  KeysOptions keys_;
  SecretOptions secret_;
  UpOptions up_;
  LocalOptions local_;
  CoordinatorOptions coordinator_;
  CreateKeyOptions create_key_;
  NodeDeployOptions deploy_;
  NodeStatusOptions status_;
  AuditOptions audit_;
  CreateProjectOptions project_;
  ConfigOptions config_;
  DoctorOptions doctor_;
  CompletionOptions completion_;
  VmOptions vm_;
  VersionOptions version_;
};

}  // namespace bcai::cli
