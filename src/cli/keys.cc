// SPDX-License-Identifier: Apache-2.0
// `bcai keys`.
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

// "any", "none", or its patterns.
std::string network_of(const json::value& key) {
  const json::value* network = member_of(key, "network");
  const json::array* allow = network == nullptr ? nullptr : array_of(*network, "allow");
  if (allow == nullptr) return "any";
  std::string text;
  for (const json::value& pattern : *allow) {
    if (!pattern.is_string()) continue;
    if (!text.empty()) text += ' ';
    text += to_std(pattern.get_string());
  }
  return text.empty() ? "none" : shorten(printable(text), 60);
}

int list_keys(ApiClient& api, const KeysOptions& options, const Screen& screen) {
  const Result<json::value> answer = api.keys();
  if (!answer) return report(screen, answer.error());
  if (options.json) {
    screen.out("{}\n", to_text(*answer));
    return 0;
  }
  const json::array* keys = array_of(*answer, "keys");
  Table table({"ID", "NAME", "ROLE", "NETWORK", "CREATED", "REVOKED"});
  if (keys != nullptr) {
    for (const json::value& key : *keys) {
      table.add({{text_of(key, "id")},
                 {shorten(text_of(key, "name"), 40)},
                 {text_of(key, "role")},
                 {network_of(key)},
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
      const Result<json::value> made =
          api.create_key(options.name, options.role, options.network.patterns());
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
