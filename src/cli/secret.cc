// SPDX-License-Identifier: Apache-2.0
// `bcai secret`. A value is never an argument, and never printed.
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/seal.h"
#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/table.h"
#include "protocol/secret.h"

namespace bcai::cli {
namespace {

// Turns the terminal's echo off while it lives.
class NoEcho {
 public:
  NoEcho() {
    known_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (!known_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~NoEcho() {
    if (known_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool known_ = false;
};

// To the end, or of a terminal one line. kCancelled by an interrupt after `seen`.
Result<std::string> read_input(const Interrupts& interrupts, int seen, bool one_line) {
  std::string text;
  text.reserve(kSecretBytesMax + 4096);  // so that no copy is left behind
  char buffer[4096];
  while (text.size() <= kSecretBytesMax) {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    const int ready = poll(&input, 1, 100);
    if (interrupts.count() > seen) return error(ErrorCode::kCancelled, "interrupted");
    if (ready <= 0) continue;
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read standard input");
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (one_line && text.ends_with('\n')) break;
  }
  wipe(std::span(reinterpret_cast<uint8_t*>(buffer), sizeof buffer));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

Result<std::string> read_value(const SecretOptions& options, const Context& context) {
  const Screen& screen = context.screen;
  if (!options.from_file.empty()) {
    return read_file(options.from_file, static_cast<int64_t>(kSecretBytesMax));
  }
  const int seen = context.interrupts.count();
  if (!screen.in_is_terminal) return read_input(context.interrupts, seen, false);
  const NoEcho silent;
  screen.err("value of {}: ", options.name);
  Result<std::string> value = read_input(context.interrupts, seen, true);
  screen.err("\n");
  return value;
}

int set_secret(ApiClient& api, const SecretOptions& options, const Screen& screen,
               std::string value) {
  const Result<void> sent = api.put_secret(options.name, value);
  const bool is_short = value.size() < 4;
  wipe(&value);
  if (!sent) return report(screen, sent.error());
  screen.note(fmt::format("{} is set", options.name));
  if (is_short) screen.note("it has fewer than 4 bytes: logs are not searched for it");
  return 0;
}

int list_secrets(ApiClient& api, const SecretOptions& options, const Screen& screen) {
  const Result<json::value> answer = api.secrets();
  if (!answer) return report(screen, answer.error());
  if (options.json) {
    screen.out("{}\n", to_text(*answer));
    return 0;
  }
  const json::array* secrets = array_of(*answer, "secrets");
  Table table({"NAME", "SIZE", "CREATED", "CHANGED"});
  if (secrets != nullptr) {
    for (const json::value& secret : *secrets) {
      table.add({{text_of(secret, "name")},
                 {format_bytes(integer_of(secret, "bytes"))},
                 {text_of(secret, "created_at")},
                 {text_of(secret, "updated_at")}});
    }
  }
  screen.write_out(table.text(screen));
  return 0;
}

}  // namespace

int execute(const SecretOptions& options, Context& context) {
  const Screen& screen = context.screen;
  context.settings.override_with_flag(SettingKey::kDataDirectory, options.data_directory,
                                      "--data-dir");
  const bool sets = options.verb == SecretOptions::Verb::kSet;
  std::string value;
  if (sets) {
    if (const Result<void> good = check_secret_name(options.name); !good) {
      return report(screen, good.error());
    }
    Result<std::string> read = read_value(options, context);
    if (!read && read.error().code == ErrorCode::kCancelled) return kExitInterrupted;
    const Result<void> good = read ? check_secret_value(*read) : Result<void>(read.error());
    if (!good) return report(screen, good.error());
    value = *std::move(read);
  }
  Result<Connected> connected = connect(options.connection, context, sets);
  if (!connected) return report(screen, connected.error());
  ApiClient& api = connected->api;
  switch (options.verb) {
    case SecretOptions::Verb::kSet: return set_secret(api, options, screen, std::move(value));
    case SecretOptions::Verb::kList: return list_secrets(api, options, screen);
    case SecretOptions::Verb::kDelete: {
      const Result<void> done = api.delete_secret(options.name);
      if (!done) return report(screen, done.error());
      screen.note(fmt::format("{} is deleted", options.name));
      return 0;
    }
  }
  return kExitUsage;
}

}  // namespace bcai::cli
