// SPDX-License-Identifier: Apache-2.0
#include "cli/paths.h"

namespace bcai::cli {
namespace {

// A directory of the XDG base directory specification, which asks that relative ones be ignored.
std::filesystem::path base_directory(const Environment& environment, const std::string& name,
                                     const char* below_home) {
  const std::filesystem::path given = variable(environment, name);
  if (given.is_absolute()) return given;
  const std::filesystem::path home = variable(environment, "HOME");
  return (home.empty() ? std::filesystem::path("/") : home) / below_home;
}

}  // namespace

const std::string& variable(const Environment& environment, const std::string& name) {
  static const std::string kNone;
  const auto found = environment.find(name);
  return found == environment.end() ? kNone : found->second;
}

std::filesystem::path config_file(const Environment& environment) {
  return base_directory(environment, "XDG_CONFIG_HOME", ".config") / "bcai" / "config.yaml";
}

std::filesystem::path default_data_directory(const Environment& environment, uid_t uid) {
  if (uid == 0 && variable(environment, "XDG_STATE_HOME").empty()) return "/var/lib/bcai";
  return base_directory(environment, "XDG_STATE_HOME", ".local/state") / "bcai";
}

}  // namespace bcai::cli
