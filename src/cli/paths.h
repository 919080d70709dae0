// SPDX-License-Identifier: Apache-2.0
// Where the program keeps its things. Root's default is below /var/lib, for the sandbox's users
// must be able to walk to its root, and root's home is closed to them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>

namespace bcai::cli {

using Environment = std::map<std::string, std::string>;

// The variable's text, or "" when it is unset.
const std::string& variable(const Environment& environment, const std::string& name);

// $XDG_CONFIG_HOME/bcai/config.yaml, else ~/.config/bcai/config.yaml.
std::filesystem::path config_file(const Environment& environment);

// $XDG_STATE_HOME/bcai, else /var/lib/bcai for root and ~/.local/state/bcai for others.
std::filesystem::path default_data_directory(const Environment& environment, uid_t uid);

}  // namespace bcai::cli
