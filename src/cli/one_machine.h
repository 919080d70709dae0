// SPDX-License-Identifier: Apache-2.0
// Coordinator and node in this process, on one data directory that it locks: `bcai up`, and
// `bcai run` without an endpoint. The same rooms as on a network, the same sandbox.
//   DIRECTORY/{lock, key, endpoint, coordinator/, node/}
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/data_directory.h"
#include "coordinator/coordinator.h"
#include "node/node.h"

namespace bcai::cli {

struct MachineOptions {
  std::filesystem::path directory;
  std::string listen;  // "" is a private unix socket
  std::string python;
  int slots = 0;
  std::optional<int64_t> uploads_bytes_max;
  bool strangers = false;
  std::vector<std::string> network;  // what jobs may name: protocol/network.h
  bool high_level = true;
  bool with_node = true;
};

class OneMachine {
 public:
  // kAlreadyExists: another process has the directory.
  static Result<std::unique_ptr<OneMachine>> start(const MachineOptions& options);
  ~OneMachine();

  // Ends what runs, then both. Idempotent.
  void stop();

  std::string endpoint() const { return coordinator_->endpoint(); }
  // Of role owner, kept in DIRECTORY/key.
  const std::string& key() const { return key_; }
  bool key_is_new() const { return key_is_new_; }
  const node::Node* node() const { return node_.get(); }

 private:
  OneMachine() = default;
  Result<void> prepare_key(const std::filesystem::path& directory);

  DirectoryLock lock_;
  PrivateSocket socket_;
  std::unique_ptr<coordinator::Coordinator> coordinator_;
  std::unique_ptr<node::Node> node_;
  std::string key_;
  bool key_is_new_ = false;
};

// Of those below, the one that other commands read, and that keeps secrets.
inline constexpr const char* kLocalRecord = "0";

// The first of DIRECTORY/0, DIRECTORY/1, … that no other process has: runs beside each other are
// independent.
Result<std::unique_ptr<OneMachine>> start_local(MachineOptions options);

// "" or what to say when the packages of that node lack torch.
std::string torch_hint(const Capabilities& capabilities, const std::string& python);

}  // namespace bcai::cli
