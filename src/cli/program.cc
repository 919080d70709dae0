// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/context.h"
#include "protocol/problem.h"

namespace bcai::cli {
namespace {

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace

int report(const Screen& screen, const Error& error) {
  screen.error(error.message);
  return exit_code(error.code);
}

int run_program(const std::vector<std::string>& words) {
  signal(SIGPIPE, SIG_IGN);
  // What the rooms below log is for those who run servers; `up`, `coordinator` and `node` turn it
  // on.
  configure_log(LogLevel::kOff, LogFormat::kText);
  const Environment environment = process_environment();
  const Screen screen = make_screen(environment);
  if (!words.empty() && words[0] == "__complete") {
    screen.write_out(complete({words.begin() + 1, words.end()}));
    return 0;
  }
  Parsed parsed = parse_arguments(words);
  if (!parsed.command) {
    (parsed.exit_code == 0 ? screen.write_out : screen.write_err)(parsed.text);
    return parsed.exit_code;
  }
  Result<Settings> settings = Settings::load(environment, getuid());
  if (!settings) return report(screen, settings.error());
  SystemClock clock;
  SystemRandom random;
  Interrupts interrupts;
  interrupts.install();
  Context context{.environment = environment,
                  .settings = *settings,
                  .screen = screen,
                  .clock = clock,
                  .random = random,
                  .interrupts = interrupts};
  return std::visit([&](const auto& options) { return execute(options, context); },
                    *parsed.command);
}

}  // namespace bcai::cli
