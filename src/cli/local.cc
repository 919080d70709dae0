// SPDX-License-Identifier: Apache-2.0
// `bcai local`: a private network of this machine for the program that started it, such as the
// Python SDK. It says in one line of JSON how to reach it, and ends when standard input does.
#include <poll.h>
#include <unistd.h>

#include "cli/context.h"
#include "cli/one_machine.h"

namespace bcai::cli {
namespace {

void wait_for_end_of_input(const Context& context, int seen) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  while (context.interrupts.count() <= seen) {
    if (poll(&input, 1, 500) <= 0) continue;
    char ignored[4096];
    if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) return;
  }
}

}  // namespace

int execute(const LocalOptions& options, Context& context) {
  const Settings& settings = context.settings;
  context.settings.override_with_flag(SettingKey::kPython, options.python, "--python");
  context.settings.override_with_flag(SettingKey::kDataDirectory, options.data_directory,
                                      "--data-dir");
  const int seen = context.interrupts.count();
  MachineOptions machine;
  machine.directory = std::filesystem::path(settings.value(SettingKey::kDataDirectory)) / "local";
  machine.python = settings.value(SettingKey::kPython);
  if (!options.socket.empty()) machine.listen = "unix:" + options.socket;
  Result<std::unique_ptr<OneMachine>> here = start_local(machine);
  if (!here) return report(context.screen, here.error());
  const json::object said{{"endpoint", (*here)->endpoint()}, {"api_key", (*here)->key()}};
  context.screen.out("{}\n", to_text(said));
  wait_for_end_of_input(context, seen);
  (*here)->stop();
  return 0;
}

}  // namespace bcai::cli
