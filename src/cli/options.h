// SPDX-License-Identifier: Apache-2.0
// What each subcommand was told, one struct for each; declarations.cc fills them. Texts that carry
// a unit were checked when they were read.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace bcai::cli {

// "" takes the setting.
struct Connection {
  std::string endpoint;
  std::string api_key;
  std::string ca_file;
};

struct JobOptions {
  Connection connection;
  std::string file;  // "-" is standard input; "" with code
  std::optional<std::string> code;
  std::vector<std::string> arguments;
  std::string name;
  std::string id;
  std::vector<std::string> requirements;
  std::vector<std::string> build_from_source;  // packages
  std::string python_version;
  std::string environment_lock;  // a file
  std::vector<std::string> allow_hosts;
  std::vector<std::string> secrets;  // names
  std::string security_level;
  int gpu_count = 0;
  std::string gpu_memory;  // "" is the coordinator's default, as in all below
  std::string gpu_model;
  std::string memory;
  double cpu_cores = 0;
  std::string disk;
  std::optional<Millis> timeout;
  std::optional<Millis> queue_timeout;
  std::optional<int> max_retries;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> files;    // PATH[:DEST]
  std::vector<std::string> inputs;   // of a native program: NAME=FILE.npy, or FILE.npy
  std::vector<std::string> weights;  // and its safetensors files
  int replicas = 1;
  std::vector<std::string> allowed_imports;
  std::string import_policy;
  bool json = false;
};

struct RunOptions {
  JobOptions job;
  bool local = false;
  bool detach = false;
  bool show_outputs = false;
  bool quiet = false;
  std::string output_directory;
  std::string python;
  std::string data_directory;
};
struct SubmitOptions {
  JobOptions job;
};
struct JobsOptions {
  Connection connection;
  std::string state;
  std::string name;
  int limit = 20;
  bool json = false;
};
struct ShowOptions {
  Connection connection;
  std::string job;
  bool json = false;
};
struct LogsOptions {
  Connection connection;
  std::string job;
  std::string attempt;
  bool follow = false;
  bool json = false;
};
struct ResultsOptions {
  Connection connection;
  std::string job;
  std::string output_directory;
  bool json = false;
};
struct CancelOptions {
  Connection connection;
  std::string job;
  bool wait = false;
};
struct WaitOptions {
  Connection connection;
  std::string job;
  Millis timeout{0};  // 0 is none
  bool json = false;
};
struct NodesOptions {
  Connection connection;
  bool json = false;
};
// What the jobs of a key may ask for; neither: any host that a node allows.
struct KeyNetwork {
  std::vector<std::string> allow;
  bool none = false;
  std::optional<std::vector<std::string>> patterns() const {
    return none || !allow.empty() ? std::optional(allow) : std::nullopt;
  }
};
struct KeysOptions {
  enum class Verb : unsigned char { kList, kCreate, kRevoke };
  Connection connection;
  Verb verb = Verb::kList;
  std::string name;
  std::string role;
  KeyNetwork network;
  std::string id;
  bool json = false;
};
struct SecretOptions {
  enum class Verb : unsigned char { kList, kSet, kDelete };
  Connection connection;
  Verb verb = Verb::kList;
  std::string name;
  std::string from_file;  // "" is standard input
  std::string data_directory;
  bool json = false;
};
struct UpOptions {
  std::string data_directory;
  std::string listen = "127.0.0.1:8080";
  std::string python;
  int slots = 0;
  std::optional<int64_t> uploads_bytes_max;
  bool strangers = false;
  std::vector<std::string> allow_network;
  bool save = true;  // endpoint and key into the config file
  bool verbose = false;
  bool json = false;
};
struct LocalOptions {
  std::string socket;
  std::string data_directory;
  std::string python;
};
struct CoordinatorOptions {
  std::string data_directory;
  std::string listen = "127.0.0.1:8080";
  std::string tls_certificate;
  std::string tls_key;
  std::string secrets_key;
  std::string python;
  std::optional<int64_t> uploads_bytes_max;
  bool verbose = false;
};
struct CreateKeyOptions {
  std::string data_directory;
  std::string name;
  std::string role;
  KeyNetwork network;
  bool json = false;
};
struct NodeDeployOptions {
  std::string config;
  std::map<std::string, std::string> flags;  // fields of the configuration
  bool print_config = false;
  bool print_example = false;
  bool verbose = false;
};
struct NodeStatusOptions {
  std::string config;
  std::string data_directory;
  bool metrics = false;
  bool json = false;
};
struct AuditOptions {
  enum class Verb : unsigned char { kVerify, kShow };
  Verb verb = Verb::kVerify;
  std::string path;  // a file or a directory; "" is that of the node on this machine
  std::string data_directory;
  std::string head;  // SEQ:HASH
  std::string job;
  bool json = false;
};
struct CreateProjectOptions {
  std::string name;
};
struct ConfigOptions {
  enum class Verb : unsigned char { kList, kGet, kSet, kUnset, kPath };
  Verb verb = Verb::kList;
  std::string key;
  std::string value;
  bool json = false;
};
struct DoctorOptions {
  std::string python;
  std::string data_directory;
  bool json = false;
};
struct CompletionOptions {
  std::string shell;
};
struct VmOptions {
  enum class Verb : unsigned char {
    kAssemble,
    kDisassemble,
    kImport,
    kVerify,
    kQuote,
    kCompile,
    kRun,
    kCheck,
    kBench,
    kIsa,
  };
  Verb verb = Verb::kIsa;
  std::string program;
  std::string output;
  std::vector<std::string> bindings;  // SYMBOL=NUMBER
  std::vector<std::string> inputs;    // NAME=FILE.npy
  std::vector<std::string> values;    // NAME=NUMBER,NUMBER,…
  std::vector<std::string> weights;   // safetensors files
  std::string receipt;
  std::string as_job;               // the directory of a job, which gets what a job leaves
  std::string profile;              // where the Chrome trace goes
  std::vector<std::string> shapes;  // NAME=1,3,224,224
  int64_t batch = 0;                // the largest; 0 is the importer's own
  int64_t sequence = 0;             // the longest
  int64_t cache = 0;                // rows of a decoder's states
  int threads = 0;                  // 0 is all cores
  std::string simd_level;           // the widest when empty
  int runs = 20;                    // of bench
  bool measure = false;             // this machine, again
  bool explain = false;             // of compile
  bool reference = false;
  bool trace = false;
  bool json = false;
  bool markdown = false;
};
struct VersionOptions {
  bool json = false;
};

using Command =
    std::variant<RunOptions, SubmitOptions, JobsOptions, ShowOptions, LogsOptions, ResultsOptions,
                 CancelOptions, WaitOptions, NodesOptions, KeysOptions, SecretOptions, UpOptions,
                 LocalOptions, CoordinatorOptions, CreateKeyOptions, NodeDeployOptions,
                 NodeStatusOptions, AuditOptions, CreateProjectOptions, ConfigOptions,
                 DoctorOptions, CompletionOptions, VmOptions, VersionOptions>;

}  // namespace bcai::cli
