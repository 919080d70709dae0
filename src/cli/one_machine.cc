// SPDX-License-Identifier: Apache-2.0
#include "cli/one_machine.h"

#include "base/file.h"
#include "node/config.h"

namespace bcai::cli {
namespace {

constexpr int kLocalSlotsMax = 64;
}  // namespace

Result<std::unique_ptr<OneMachine>> OneMachine::start(const MachineOptions& options) {
  std::unique_ptr<OneMachine> machine(new OneMachine);
  BCAI_TRY_ASSIGN(machine->lock_, DirectoryLock::take(options.directory));

  coordinator::CoordinatorOptions coordinator;
  coordinator.data_directory = options.directory / "coordinator";
  coordinator.checker_python = options.python;
  coordinator.listen = options.listen;
  if (options.uploads_bytes_max) coordinator.uploads.key_bytes_max = *options.uploads_bytes_max;
  if (options.listen.empty()) {
    BCAI_TRY_ASSIGN(machine->socket_, PrivateSocket::make(options.directory));
    coordinator.listen = machine->socket_.listen();
    // Nobody but who started it reaches it.
    coordinator.uploads.key_bytes_max = INT64_MAX;
  }
  BCAI_TRY_ASSIGN(machine->coordinator_, coordinator::Coordinator::start(coordinator));
  BCAI_TRY(machine->prepare_key(options.directory));
  BCAI_TRY(write_file(options.directory / "endpoint", machine->endpoint() + "\n"));
  if (!options.with_node) return machine;

  node::NodeConfig node;
  node.coordinator = machine->endpoint();
  node.key = machine->key_;
  node.data_directory = options.directory / "node";
  node.python = options.python;
  node.search = node::directories_of(node::process_environment());
  node.slots = options.slots;
  node.strangers = options.strangers;
  node.network = options.network;
  node.high_level = options.high_level;
  // Of use to the second job, which a process for one job will not see.
  node.warm_starts = !options.listen.empty();
  BCAI_TRY_ASSIGN(machine->node_, node::Node::start(std::move(node)));
  return machine;
}

Result<void> OneMachine::prepare_key(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "key";
  BCAI_TRY_ASSIGN(const bool fresh, coordinator_->has_no_key());
  if (!fresh) {
    if (Result<std::string> kept = read_file(path, 4096); kept && !kept->empty()) {
      key_ = kept->substr(0, kept->find('\n'));
      return {};
    }
  }
  BCAI_TRY_ASSIGN(key_, coordinator_->create_key("bcai on this machine", "owner"));
  key_is_new_ = true;
  return write_file(path, key_ + "\n", Durability::kSynced, 0600);
}

void OneMachine::stop() {
  if (node_ != nullptr) node_->stop();
  node_.reset();
  if (coordinator_ != nullptr) coordinator_->stop();
  coordinator_.reset();
}

OneMachine::~OneMachine() { stop(); }

Result<std::unique_ptr<OneMachine>> start_local(MachineOptions options) {
  const std::filesystem::path directory = options.directory;
  for (int slot = 0; slot < kLocalSlotsMax; ++slot) {
    options.directory = directory / std::to_string(slot);
    Result<std::unique_ptr<OneMachine>> machine = OneMachine::start(options);
    if (machine || machine.error().code != ErrorCode::kAlreadyExists) return machine;
  }
  return error(ErrorCode::kResourceExhausted,
               "{} runs on this machine already; start `bcai up`, "
               "which queues",
               kLocalSlotsMax);
}

std::string torch_hint(const Capabilities& capabilities, const std::string& python) {
  if (capabilities.packages.contains("torch")) return "";
  return fmt::format(
      "note: {} has no torch, a job that imports it will fail; "
      "`bcai config set python PATH` names an interpreter that has it",
      python);
}

}  // namespace bcai::cli
