// SPDX-License-Identifier: Apache-2.0
// Fills NodeConfig from a YAML file, the environment and flags, each stronger than the one before,
// and remembers where each value came from. docs/node.md describes the fields.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/node.h"

namespace bcai::node {

struct ConfigSources {
  std::filesystem::path file;                      // "" for none
  std::map<std::string, std::string> environment;  // process_environment(), or a test's
  std::map<std::string, std::string> flags;        // by field: {"slots", "2"}
};

struct LoadedConfig {
  NodeConfig config;
  // By field: "default", "production.yaml:3", "BCAI_NODE_SLOTS", "--slots".
  std::map<std::string, std::string> origins;
};

// kInvalidArgument lists everything wrong, one line each: "production.yaml:4:9: /slots: …".
Result<LoadedConfig> load_config(const ConfigSources& sources);

// YAML that load_config() takes, but for the key, each line with its origin as a comment.
std::string print_config(const LoadedConfig& loaded);

// production.yaml with every field documented.
std::string_view example_config();

std::vector<std::string_view> config_fields();

// Of PATH, those that are absolute.
std::vector<std::filesystem::path> directories_of(
    const std::map<std::string, std::string>& environment);

// HOME, PATH and all that begins with BCAI_NODE_.
std::map<std::string, std::string> process_environment();

}  // namespace bcai::node
