// SPDX-License-Identifier: Apache-2.0
// `bcai up`: a one-machine network in one terminal.
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/context.h"
#include "cli/one_machine.h"

namespace bcai::cli {
namespace {

// What a client on this machine dials when the server listens everywhere.
std::string dialled(std::string endpoint) {
  for (const std::string_view everywhere : {"//0.0.0.0:", "//[::]:"}) {
    const size_t at = endpoint.find(everywhere);
    if (at != std::string::npos) endpoint.replace(at, everywhere.size(), "//127.0.0.1:");
  }
  return endpoint;
}

// Makes `bcai run` in another terminal find this network, unless the user has chosen another.
void save_connection(Context& context, const std::string& endpoint, const std::string& key,
                     const std::filesystem::path& key_file) {
  Settings& settings = context.settings;
  const Screen& screen = context.screen;
  const std::string stored = settings.stored(SettingKey::kEndpoint);
  if (!stored.empty() && stored != endpoint) {
    screen.note(
        fmt::format("{} names {}; to use this network: export BCAI_ENDPOINT={} "
                    "BCAI_API_KEY=$(cat {})",
                    settings.file().string(), stored, endpoint, key_file.string()));
    return;
  }
  if (stored == endpoint && settings.stored(SettingKey::kApiKey) == key) return;
  const Result<void> saved =
      settings.save({{SettingKey::kEndpoint, endpoint}, {SettingKey::kApiKey, key}});
  if (saved) {
    screen.note(fmt::format("endpoint and key are saved in {}", settings.file().string()));
  } else {
    screen.error(fmt::format("the settings are not saved: {}", saved.error().message));
  }
}

void print_ready(const Context& context, const UpOptions& options, const OneMachine& machine,
                 const std::string& endpoint) {
  const Screen& screen = context.screen;
  if (options.json) {
    json::object ready{{"event", "ready"}, {"endpoint", endpoint}};
    if (machine.key_is_new()) ready["api_key"] = machine.key();
    screen.out("{}\n", to_text(ready));
    return;
  }
  screen.out("endpoint  {}\n", screen.styled_out(Style::kBold, endpoint));
  if (machine.key_is_new()) {
    screen.out("api key   {}\n", screen.styled_out(Style::kBold, machine.key()));
    screen.note("the key is shown this once");
  }
  const Capabilities& has = machine.node()->status().capabilities;
  screen.out("node      {}, {} at once, {}, {}\n", has.hostname, has.slots,
             format_bytes(has.memory_bytes),
             has.gpus.empty() ? "no GPU" : fmt::format("{} GPUs", has.gpus.size()));
  screen.out(
      "try       bcai run --code \"print('hello')\"     (in another terminal; Ctrl-C here ends "
      "the network)\n");
}

}  // namespace

int execute(const UpOptions& options, Context& context) {
  const Screen& screen = context.screen;
  context.settings.override_with_flag(SettingKey::kPython, options.python, "--python");
  context.settings.override_with_flag(SettingKey::kDataDirectory, options.data_directory,
                                      "--data-dir");
  configure_log(options.verbose ? LogLevel::kInfo : LogLevel::kWarn,
                screen.err_is_terminal ? LogFormat::kText : LogFormat::kJson);
  const int seen = context.interrupts.count();
  const std::filesystem::path directory = context.settings.value(SettingKey::kDataDirectory);
  const std::string python = context.settings.value(SettingKey::kPython);
  if (screen.err_is_terminal) screen.note("starting; the sandbox is tested first");
  Result<std::unique_ptr<OneMachine>> machine =
      OneMachine::start({.directory = directory,
                         .listen = options.listen,
                         .python = python,
                         .slots = options.slots,
                         .uploads_bytes_max = options.uploads_bytes_max,
                         .strangers = options.strangers,
                         .network = options.allow_network});
  if (!machine) return report(screen, machine.error());
  const std::string endpoint = dialled((*machine)->endpoint());
  if (options.save) save_connection(context, endpoint, (*machine)->key(), directory / "key");
  const std::string hint = torch_hint((*machine)->node()->status().capabilities, python);
  if (!hint.empty()) screen.note(hint);
  print_ready(context, options, **machine, endpoint);
  context.interrupts.wait(seen);
  if (screen.err_is_terminal) screen.note("\nstopping");
  (*machine)->stop();
  return 0;
}

}  // namespace bcai::cli
