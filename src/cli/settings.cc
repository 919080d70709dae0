// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.h"

#include "base/decode.h"
#include "base/file.h"
#include "base/yaml.h"

namespace bcai::cli {
namespace {

constexpr std::string_view kHeading =
    "# Settings of the bcai command; `bcai config list` shows them and where each comes from.\n";

std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  for (const SettingRow& row : kSettingRows) names.emplace_back(row.name);
  return names;
}

}  // namespace

Result<SettingKey> parse_setting_key(std::string_view name) {
  for (const SettingRow& row : kSettingRows) {
    if (row.name == name) return row.key;
  }
  std::string names;
  for (const SettingRow& row : kSettingRows) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  const std::string near = nearest_word(name, setting_names());
  return error(ErrorCode::kInvalidArgument, "unknown setting '{}', expected one of {}{}", name,
               names, near.empty() ? "" : fmt::format(" (did you mean {}?)", near));
}

Result<Settings> Settings::load(const Environment& environment, uid_t uid) {
  Settings settings;
  settings.file_ = config_file(environment);
  settings.values_[static_cast<size_t>(SettingKey::kPython)].value = "/usr/bin/python3";
  settings.values_[static_cast<size_t>(SettingKey::kDataDirectory)].value =
      default_data_directory(environment, uid).string();

  Result<std::string> text = read_file(settings.file_, 1 << 20);
  if (!text && text.error().code != ErrorCode::kNotFound) return std::move(text).error();
  if (text && !text->empty()) {
    Result<YamlDocument> document = parse_yaml(*text);
    if (!document) {
      return error(ErrorCode::kInvalidArgument, "{}:{}", settings.file_.string(),
                   document.error().message);
    }
    std::vector<Finding> findings;
    // A file of comments only is null.
    if (document->value.is_null()) document->value = json::object{};
    Decoder in(document->value, "", &findings);
    for (const SettingRow& row : kSettingRows) {
      if (in.peek(row.name) == nullptr) continue;
      std::string value;
      in.read(row.name, value);
      auto& stored = settings.stored_[static_cast<size_t>(row.key)];
      stored = value;
      settings.values_[static_cast<size_t>(row.key)] = {.value = value, .origin = "file"};
    }
    in.refuse_unknown();
    document->locate(&findings);
    if (!findings.empty()) {
      return error(ErrorCode::kInvalidArgument, "{}:{}", settings.file_.string(),
                   findings_text(findings));
    }
  }
  for (const SettingRow& row : kSettingRows) {
    const std::string& value = variable(environment, std::string(row.variable));
    if (value.empty()) continue;
    settings.values_[static_cast<size_t>(row.key)] = {
        .value = value, .origin = fmt::format("environment {}", row.variable)};
  }
  return settings;
}

void Settings::override_with_flag(SettingKey key, const std::string& value, std::string_view flag) {
  if (value.empty()) return;
  values_[static_cast<size_t>(key)] = {.value = value, .origin = std::string(flag)};
}

Result<void> Settings::save(const std::vector<Change>& changes) {
  for (const auto& [key, value] : changes) stored_[static_cast<size_t>(key)] = value;
  std::string text(kHeading);
  for (const SettingRow& row : kSettingRows) {
    const auto& stored = stored_[static_cast<size_t>(row.key)];
    // A JSON string is a YAML string.
    if (stored) text += fmt::format("{}: {}\n", row.name, to_text(json::value(*stored)));
  }
  BCAI_TRY(make_directories(file_.parent_path(), 0700));
  return write_file(file_, text, Durability::kCached, 0600);
}

}  // namespace bcai::cli
