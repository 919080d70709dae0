// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/keys.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "protocol/network.h"

namespace bcai::coordinator {
namespace {

// "network" of an answer: null is any host that a node allows.
json::value network_json(const std::optional<std::vector<std::string>>& patterns) {
  if (!patterns) return nullptr;
  return json::object{{"allow", json::value_from(*patterns)}};
}

std::optional<std::vector<std::string>> read_network(Decoder& in) {
  const json::value* value = in.take("network");
  if (value == nullptr) return std::nullopt;
  Decoder member(*value, in.pointer_to("network"), in.findings());
  std::vector<std::string> patterns;
  member.require("allow", patterns, size_t{64}, TextLimit{1, 260});
  for (size_t i = 0; i < patterns.size(); i++) {
    if (is_host_pattern(patterns[i])) continue;
    member.add("allow",
               fmt::format("expected host:port, *.domain:port or *:port, found '{}'", patterns[i]));
  }
  member.refuse_unknown();
  return patterns;
}

json::value key_json(const store::KeyRecord& key) {
  return json::object{{"id", key.id.text()},
                      {"name", key.name},
                      {"role", key.role},
                      {"created_at", format_time(key.created_at)},
                      {"revoked_at", key.revoked_at ? json::value(format_time(*key.revoked_at))
                                                    : json::value(nullptr)},
                      {"network", network_json(key.network)}};
}

// Nobody could make a key after the last owner is gone.
Result<void> refuse_last_owner(store::Connection& db, KeyId key) {
  BCAI_TRY_ASSIGN(const std::vector<store::KeyRecord> keys, store::list_keys(db));
  const auto is_owner = [](const store::KeyRecord& one) {
    return one.role == name(Role::kOwner) && !one.revoked_at;
  };
  const bool revokes_owner = std::any_of(
      keys.begin(), keys.end(), [&](const auto& one) { return one.id == key && is_owner(one); });
  if (!revokes_owner || std::count_if(keys.begin(), keys.end(), is_owner) > 1) return {};
  return error(ErrorCode::kFailedPrecondition,
               "{} is the last owner key; make another one before revoking it", key.text());
}

}  // namespace

void create_api_key(Services& services, Call call) {
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  Decoder in(*body, "", &findings);
  auto key = std::make_shared<store::KeyRecord>();
  in.require("name", key->name, TextLimit{1, 128});
  if (in.peek("role") == nullptr) {
    in.take("role");
    in.add("role", "is required");
  } else {
    in.read_word("role", key->role, {"owner", "member", "node"});
  }
  key->network = read_network(in);
  in.refuse_unknown();
  if (!findings.empty()) return call.reply.send(findings_response("key", findings));
  key->created_at = services.clock.wall();
  key->id = KeyId::make(key->created_at, services.random);
  const std::string text = make_key_text(key->id, services.random);
  key->hash = hash_of_secret(text);
  services.database.write(
      [key](store::Connection& db) { return store::insert_key(db, *key); },
      [reply = call.reply, key, text](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        log_event(LogLevel::kInfo, "key.created", {{"key", key->id.text()}, {"role", key->role}});
        net::Response response =
            json_response(201, json::object{{"id", key->id.text()},
                                            {"name", key->name},
                                            {"role", key->role},
                                            {"network", network_json(key->network)},
                                            {"key", text}});
        response.headers.emplace_back("Cache-Control", "no-store");
        reply.send(std::move(response));
      });
}

void list_api_keys(Services& services, Call call) {
  if (!Query(call.request).good(call.reply)) return;
  services.database.read([reply = call.reply](store::Connection& db) {
    Result<std::vector<store::KeyRecord>> keys = store::list_keys(db);
    if (!keys) return reply.send(problem_response(keys.error()));
    json::array list;
    for (const store::KeyRecord& key : *keys) list.push_back(key_json(key));
    reply.send(json_response(200, json::object{{"keys", std::move(list)}}));
  });
}

void revoke_api_key(Services& services, Call call) {
  const std::optional<KeyId> key = path_id<KeyId>(call.request, call.reply);
  if (!key) return;
  services.database.write(
      [&services, key = *key](store::Connection& db) -> Result<void> {
        BCAI_TRY(refuse_last_owner(db, key));
        return store::revoke_key(db, services.clock.wall(), key);
      },
      [&services, reply = call.reply, key = *key](Result<void> done) {
        services.authenticator.forget(key);
        if (!done) return reply.send(problem_response(done.error()));
        log_event(LogLevel::kInfo, "key.revoked", {{"key", key.text()}});
        net::Response response;
        response.status = 204;
        reply.send(std::move(response));
      });
}

void who_am_i(Services&, Call call) {
  call.reply.send(json_response(200, json::object{{"key_id", call.who.key.text()},
                                                  {"name", call.who.name},
                                                  {"role", to_json(name(call.who.role))},
                                                  {"network", network_json(call.who.network)}}));
}

}  // namespace bcai::coordinator
