// SPDX-License-Identifier: Apache-2.0
// `bcai node deploy` and `bcai node status`.
#include "node/node.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/units.h"
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
  if (!options.data_directory.empty()) {
    // The node's own directory, or that of `bcai up`, whose node lives below.
    const std::filesystem::path below = std::filesystem::path(options.data_directory) / "node";
    std::error_code ignored;
    if (std::filesystem::exists(below / "status.json", ignored)) return below;
    return std::filesystem::path(options.data_directory);
  }
  return std::filesystem::path(context.settings.value(SettingKey::kDataDirectory)) / "node";
}

void print_facts(const Screen& screen, const json::value& status) {
  static const json::value kNothing;
  const json::value* member = member_of(status, "capabilities");
  const json::value& has = member == nullptr ? kNothing : *member;
  const json::value* connected = member_of(status, "connected");
  const bool is_connected = connected != nullptr && connected->is_bool() && connected->get_bool();
  const auto line = [&](std::string_view label, const std::string& text,
                        Style style = Style::kPlain) {
    screen.out("{} {}\n", screen.styled_out(Style::kBold, fmt::format("{:<11}", label)),
               screen.styled_out(style, printable(text)));
  };
  line("node", text_of(status, "node_id"));
  line("coordinator", is_connected ? "connected" : "not connected",
       is_connected ? Style::kGreen : Style::kRed);
  line("running", fmt::format("{} of {}", integer_of(status, "running"), integer_of(has, "slots")));
  line("as of", text_of(status, "updated_at"));
  line("machine",
       fmt::format("{}, {:.3g} cores, {} of memory, {} of disk offered", text_of(has, "cpu_model"),
                   static_cast<double>(integer_of(has, "cpu_millicores")) / 1000,
                   format_bytes(integer_of(has, "memory_bytes")),
                   format_bytes(integer_of(has, "disk_bytes"))));
  line("system", fmt::format("{}, Linux {}, {}", text_of(has, "os"), text_of(has, "kernel"),
                             text_of(has, "sandbox_runtime")));
  if (const json::array* tests = array_of(has, "self_test")) {
    for (const json::value& test : *tests) {
      const json::value* holds = member_of(test, "holds");
      const bool held = holds != nullptr && holds->is_bool() && holds->get_bool();
      line("self-test",
           fmt::format("{} {}: {}", held ? "holds" : "FAILS", text_of(test, "name"),
                       text_of(test, "detail")),
           held ? Style::kPlain : Style::kRed);
    }
  }
}

void print_metrics(const Screen& screen, const json::value& status) {
  const json::value* metrics = member_of(status, "metrics");
  if (metrics == nullptr || !metrics->is_object()) return;
  Table table({"METRIC", "VALUE"});
  for (const auto& [name, value] : metrics->get_object()) {
    table.add({{std::string(to_std(name))}, {display_text(value)}});
  }
  screen.out("\n{}", table.text(screen));
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
    screen.error(
        fmt::format("no node runs on {}: {}; --data-dir DIR names another directory, that of `bcai "
                    "up --data-dir DIR` or of a node, and --config FILE a node's configuration",
                    directory->string(), text.error().message));
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
  print_facts(screen, shown);
  print_metrics(screen, shown);
  return 0;
}

}  // namespace bcai::cli
