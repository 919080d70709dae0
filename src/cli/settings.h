// SPDX-License-Identifier: Apache-2.0
// The program's settings and where each value came from: a flag, the environment, the config file,
// or the default, in this order. The file is YAML with one text per key, mode 0600, since it holds
// the API key.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/paths.h"

namespace bcai::cli {

enum class SettingKey : unsigned char { kEndpoint, kApiKey, kCaFile, kPython, kDataDirectory };

struct SettingRow {
  SettingKey key;
  std::string_view name;      // in the file and on the command line
  std::string_view variable;  // in the environment
  std::string_view meaning;
};

inline constexpr std::array kSettingRows{
    SettingRow{SettingKey::kEndpoint, "endpoint", "BCAI_ENDPOINT",
               "coordinator: http://host:port, https://host:port or unix:/path"},
    SettingRow{SettingKey::kApiKey, "api_key", "BCAI_API_KEY", "key sent to the coordinator"},
    SettingRow{SettingKey::kCaFile, "ca_file", "BCAI_CA_FILE",
               "certificates to trust besides the system's (PEM)"},
    SettingRow{SettingKey::kPython, "python", "BCAI_PYTHON",
               "interpreter whose packages jobs on this machine see"},
    SettingRow{SettingKey::kDataDirectory, "data_directory", "BCAI_DATA_DIR",
               "state of what runs on this machine"},
};

struct Setting {
  std::string value;
  std::string origin = "default";  // "default", "file", "environment BCAI_…", "--flag"
};

class Settings {
 public:
  // A file that is absent is empty. An unknown key or a value that is no text is an error that
  // names file, line and column.
  static Result<Settings> load(const Environment& environment, uid_t uid);

  const std::string& value(SettingKey key) const { return at(key).value; }
  const Setting& at(SettingKey key) const { return values_[static_cast<size_t>(key)]; }
  // What the file says, "" when nothing.
  std::string stored(SettingKey key) const {
    return stored_[static_cast<size_t>(key)].value_or("");
  }
  const std::filesystem::path& file() const { return file_; }

  // Overrides for this process, when the flag was given.
  void override_with_flag(SettingKey key, const std::string& value, std::string_view flag);

  // Writes the keys to the file, all in one step; a value of nothing removes its key.
  using Change = std::pair<SettingKey, std::optional<std::string>>;
  Result<void> save(const std::vector<Change>& changes);

 private:
  std::filesystem::path file_;
  std::array<Setting, kSettingRows.size()> values_;
  std::array<std::optional<std::string>, kSettingRows.size()> stored_;
};

// The row of a name such as "endpoint"; an error lists the names.
Result<SettingKey> parse_setting_key(std::string_view name);

}  // namespace bcai::cli
