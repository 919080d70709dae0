// SPDX-License-Identifier: Apache-2.0
// `bcai config`.
#include "base/json.h"
#include "cli/context.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

// Enough of a key to recognise it.
std::string shown_value(const SettingRow& row, const std::string& value) {
  if (row.key != SettingKey::kApiKey || value.empty()) return value;
  const size_t id_end = value.find('_', value.find('_') + 1);
  return value.substr(0, std::min(id_end, value.size())) + "_…";
}

int list_settings(const ConfigOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  json::array list;
  Table table({"SETTING", "VALUE", "ORIGIN", "MEANING"});
  for (const SettingRow& row : kSettingRows) {
    const Setting& setting = context.settings.at(row.key);
    const std::string value = shown_value(row, setting.value);
    list.push_back(
        json::object{{"name", to_json(row.name)}, {"value", value}, {"origin", setting.origin}});
    table.add({{std::string(row.name)},
               {value.empty() ? "-" : value},
               {value.empty() ? "-" : setting.origin},
               {std::string(row.meaning), Style::kDim}});
  }
  if (options.json) {
    screen.out("{}\n", to_text(json::object{{"settings", std::move(list)}}));
  } else {
    screen.write_out(table.text(screen));
  }
  return 0;
}

}  // namespace

int execute(const ConfigOptions& options, Context& context) {
  const Screen& screen = context.screen;
  using Verb = ConfigOptions::Verb;
  if (options.verb == Verb::kList) return list_settings(options, context);
  if (options.verb == Verb::kPath) {
    screen.out("{}\n", context.settings.file().string());
    return 0;
  }
  const Result<SettingKey> key = parse_setting_key(options.key);
  if (!key) return report(screen, key.error());
  if (options.verb == Verb::kGet) {
    const Setting& setting = context.settings.at(*key);
    if (options.json) {
      screen.out("{}\n",
                 to_text(json::object{
                     {"name", options.key}, {"value", setting.value}, {"origin", setting.origin}}));
    } else {
      screen.out("{}\n", setting.value);
    }
    return 0;
  }
  const Result<void> saved = context.settings.save(
      {{*key, options.verb == Verb::kSet ? std::optional(options.value) : std::nullopt}});
  return saved ? 0 : report(screen, saved.error());
}

}  // namespace bcai::cli
