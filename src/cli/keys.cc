// SPDX-License-Identifier: Apache-2.0
// `bcai keys`.
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

int list_keys(ApiClient& api, const KeysOptions& options, const Screen& screen) {
  const Result<json::value> answer = api.keys();
  if (!answer) return report(screen, answer.error());
  if (options.json) {
    screen.out("{}\n", to_text(*answer));
    return 0;
  }
  const json::array* keys = array_of(*answer, "keys");
  Table table({"ID", "NAME", "ROLE", "CREATED", "REVOKED"});
  if (keys != nullptr) {
    for (const json::value& key : *keys) {
      table.add({{text_of(key, "id")},
                 {shorten(text_of(key, "name"), 40)},
                 {text_of(key, "role")},
                 {text_of(key, "created_at")},
                 {text_of(key, "revoked_at")}});
    }
  }
  screen.write_out(table.text(screen));
  return 0;
}

}  // namespace

int execute(const KeysOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  ApiClient& api = connected->api;
  switch (options.verb) {
    case KeysOptions::Verb::kList: return list_keys(api, options, screen);
    case KeysOptions::Verb::kCreate: {
      const Result<json::value> made = api.create_key(options.name, options.role);
      if (!made) return report(screen, made.error());
      screen.out("{}\n", options.json ? to_text(*made) : text_of(*made, "key"));
      if (!options.json && screen.err_is_terminal)
        screen.note("shown this once; only its hash is kept");
      return 0;
    }
    case KeysOptions::Verb::kRevoke: {
      const Result<void> done = api.revoke_key(options.id);
      if (!done) return report(screen, done.error());
      screen.note(fmt::format("{} is revoked", options.id));
      return 0;
    }
  }
  return kExitUsage;
}

}  // namespace bcai::cli
