// SPDX-License-Identifier: Apache-2.0
// `bcai node deploy` and `bcai node status`.
#include "node/node.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/context.h"
#include "cli/job_view.h"
#include "cli/table.h"
#include "node/config.h"

namespace bcai::cli {
namespace {

Result<std::filesystem::path> status_directory(const NodeStatusOptions& options, Context& context) {
  if (!options.config.empty()) {
    BCAI_TRY_ASSIGN(
        const node::LoadedConfig loaded,
        node::load_config(
            {.file = options.config, .environment = node::process_environment(), .flags = {}}));
    return loaded.config.data_directory;
  }
  if (!options.data_directory.empty()) return std::filesystem::path(options.data_directory);
  return std::filesystem::path(context.settings.value(SettingKey::kDataDirectory)) / "node";
}

// Members of an object as rows, those of inner objects as "outer.inner".
void add_rows(Table& table, const json::value& value, const std::string& prefix) {
  for (const auto& [name, member] : value.get_object()) {
    const std::string label =
        prefix.empty() ? std::string(to_std(name)) : prefix + "." + std::string(to_std(name));
    if (member.is_object()) {
      add_rows(table, member, label);
    } else if (!member.is_array()) {
      table.add(
          {{label},
           {member.is_string() ? std::string(to_std(member.get_string())) : to_text(member)}});
    }
  }
}

}  // namespace

int execute(const NodeDeployOptions& options, Context& context) {
  const Screen& screen = context.screen;
  if (options.print_example) {
    screen.write_out(node::example_config());
    return 0;
  }
  const Result<node::LoadedConfig> loaded = node::load_config(
      {.file = options.config, .environment = node::process_environment(), .flags = options.flags});
  if (!loaded) return report(screen, loaded.error());
  if (options.print_config) {
    screen.write_out(node::print_config(*loaded));
    return 0;
  }
  configure_log(options.verbose ? LogLevel::kDebug : LogLevel::kInfo,
                screen.err_is_terminal ? LogFormat::kText : LogFormat::kJson);
  const int seen = context.interrupts.count();
  Result<std::unique_ptr<node::Node>> running = node::Node::start(loaded->config);
  if (!running) return report(screen, running.error());
  context.interrupts.wait(seen);
  (*running)->stop();
  return 0;
}

int execute(const NodeStatusOptions& options, Context& context) {
  const Screen& screen = context.screen;
  const Result<std::filesystem::path> directory = status_directory(options, context);
  if (!directory) return report(screen, directory.error());
  const std::filesystem::path path = *directory / "status.json";
  const Result<std::string> text = read_file(path, 16 << 20);
  if (!text) {
    screen.error(fmt::format("no node runs on {}: {}", directory->string(), text.error().message));
    return kExitUnreachable;
  }
  const Result<json::value> status = parse_json(*text);
  if (!status || !status->is_object()) {
    screen.error(fmt::format("{} is damaged", path.string()));
    return 1;
  }
  json::object shown = status->get_object();
  if (!options.metrics) shown.erase("metrics");
  if (options.json) {
    screen.out("{}\n", to_text(shown));
    return 0;
  }
  Table table({"NODE", directory->string()});
  add_rows(table, shown, "");
  screen.write_out(table.text(screen));
  return 0;
}

}  // namespace bcai::cli
