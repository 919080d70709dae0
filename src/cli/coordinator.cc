// SPDX-License-Identifier: Apache-2.0
// `bcai coordinator` and `bcai coordinator create-key`.
#include "coordinator/coordinator.h"

#include "base/json.h"
#include "base/log.h"
#include "cli/context.h"
#include "cli/data_directory.h"

namespace bcai::cli {
namespace {

std::filesystem::path data_directory(const std::string& flag, Context& context) {
  context.settings.override_with_flag(SettingKey::kDataDirectory, flag, "--data-dir");
  const Setting& setting = context.settings.at(SettingKey::kDataDirectory);
  // The default is shared with `up`, whose coordinator lives one below.
  const std::filesystem::path directory = setting.value;
  return setting.origin == "--data-dir" ? directory : directory / "coordinator";
}

}  // namespace

int execute(const CoordinatorOptions& options, Context& context) {
  const Screen& screen = context.screen;
  configure_log(options.verbose ? LogLevel::kDebug : LogLevel::kInfo,
                screen.err_is_terminal ? LogFormat::kText : LogFormat::kJson);
  context.settings.override_with_flag(SettingKey::kPython, options.python, "--python");
  const int seen = context.interrupts.count();
  coordinator::CoordinatorOptions start;
  start.data_directory = data_directory(options.data_directory, context);
  start.listen = options.listen;
  start.tls_certificate_file = options.tls_certificate;
  start.tls_key_file = options.tls_key;
  start.secrets_key_file = options.secrets_key;
  start.checker_python = context.settings.value(SettingKey::kPython);
  if (options.uploads_bytes_max) start.uploads.key_bytes_max = *options.uploads_bytes_max;
  const Result<DirectoryLock> lock = DirectoryLock::take(start.data_directory);
  if (!lock) return report(screen, lock.error());
  Result<std::unique_ptr<coordinator::Coordinator>> running =
      coordinator::Coordinator::start(start);
  if (!running) return report(screen, running.error());
  const Result<bool> fresh = (*running)->has_no_key();
  if (!fresh) return report(screen, fresh.error());
  screen.out("endpoint  {}\n", (*running)->endpoint());
  if (*fresh) {
    const Result<std::string> key = (*running)->create_key("first", "owner");
    if (!key) return report(screen, key.error());
    screen.out("api key   {}\n", *key);
    screen.note("the key is of role owner and shown this once");
  }
  context.interrupts.wait(seen);
  (*running)->stop();
  return 0;
}

int execute(const CreateKeyOptions& options, Context& context) {
  const Screen& screen = context.screen;
  coordinator::CoordinatorOptions start;
  start.data_directory = data_directory(options.data_directory, context);
  start.checker_python = context.settings.value(SettingKey::kPython);
  const Result<DirectoryLock> lock = DirectoryLock::take(start.data_directory);
  if (!lock) {
    if (lock.error().code != ErrorCode::kAlreadyExists) return report(screen, lock.error());
    screen.error(
        fmt::format("{}: its coordinator runs; ask it: bcai keys create --name {} --role {}",
                    start.data_directory.string(), options.name, options.role));
    return kExitUsage;
  }
  const Result<PrivateSocket> socket = PrivateSocket::make(start.data_directory);
  if (!socket) return report(screen, socket.error());
  start.listen = socket->listen();
  Result<std::unique_ptr<coordinator::Coordinator>> opened = coordinator::Coordinator::start(start);
  if (!opened) return report(screen, opened.error());
  const Result<std::string> key =
      (*opened)->create_key(options.name, options.role, options.network.patterns());
  if (!key) return report(screen, key.error());
  if (options.json) {
    screen.out("{}\n", to_text(json::object{
                           {"name", options.name}, {"role", options.role}, {"key", *key}}));
  } else {
    screen.out("{}\n", *key);
    if (screen.err_is_terminal) screen.note("shown this once; only its hash is kept");
  }
  return 0;
}

}  // namespace bcai::cli
