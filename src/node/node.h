// SPDX-License-Identifier: Apache-2.0
// The node agent: detects the machine, proves the sandbox, registers, takes leases, runs them,
// reports. Everything it owes the coordinator lies on its disk until it is acknowledged, so that an
// outage of either costs nothing.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/node.h"
#include "sandbox/sandbox.h"

namespace bcai::node {

// production.yaml, docs/node.md. Each field has a default but `coordinator` and `key`.
struct NodeConfig {
  std::string name;         // default: the host's name
  std::string coordinator;  // endpoint
  std::string key;          // API key of role node
  std::string ca_file;
  std::filesystem::path data_directory;  // identity, spool, sandbox state
  std::string python = "/usr/bin/python3";
  // What jobs ask for beyond the packages of `python`.
  std::string uv = "uv";                      // or a path; without it there are no environments
  std::vector<std::filesystem::path> search;  // where uv may lie, besides beside `python`
  std::string index_url = "https://pypi.org/simple";  // or "none"
  std::vector<std::string> index_hosts;               // host:port of its files, besides its own
  std::vector<std::string> wheel_directories;         // absolute; their files *.whl are offered too
  int64_t environment_bytes = 20'000'000'000;         // of all environments together
  // What jobs that ask for it may reach: protocol/network.h. A host without '*' may be private.
  std::vector<std::string> network;
  int64_t network_bytes = 10'000'000'000;  // of one attempt, both ways
  std::string program = "/proc/self/exe";  // bcai, which runs native programs in the sandbox
  int slots = 0;                           // 0: one for each core offered
  double cpu_cores = 0;                    // offered to jobs; 0: all
  int64_t memory_bytes = 0;                // 0: 80 % of what is there
  int64_t disk_bytes = 0;                  // 0: half of what is free
  bool strangers = false;                  // take jobs of others than the operator
  bool high_level = true;                  // offer it where runsc passes its self-test
  bool warm_starts = true;                 // keep processes with torch or numpy loaded
  std::map<std::string, std::string> labels;
};

// The hardware and system as found. GPUs through libnvidia-ml, loaded at run time; a machine
// without one is normal. `disk` is where the jobs' files will lie.
Capabilities detect_machine(const std::filesystem::path& disk = "/");

class Node {
 public:
  // Sweeps, self-tests and registers; blocks for some seconds the first time. When the coordinator
  // cannot be reached it keeps trying in the background. kFailedPrecondition: `strangers` is asked
  // for and a limit cannot be enforced; the message names it.
  static Result<std::unique_ptr<Node>> start(NodeConfig config);
  ~Node();

  // Ends leases under way as node failures and stops. Thread-safe.
  void stop();

  struct Status {
    bool connected = false;
    std::string node_id;
    int running = 0;
    Capabilities capabilities;
    std::map<std::string, double> metrics;  // also in <data_directory>/status.json each second
  };
  Status status() const;

  struct Impl;

 private:
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::node
