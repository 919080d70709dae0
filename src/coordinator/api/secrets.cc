// SPDX-License-Identifier: Apache-2.0
// Secrets of the caller's key, and what a node gets of them for an attempt of its own.
#include "coordinator/store/secrets.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/seal.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "protocol/secret.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kSecretsOfKeyMax = 256;

json::object secret_json(const store::SecretRecord& secret) {
  return {{"name", secret.name},
          {"bytes", secret.bytes},
          {"created_at", format_time(secret.created_at)},
          {"updated_at", format_time(secret.updated_at)}};
}

// What a stranger on the way could read does not go there.
Result<void> check_way(const Services& services, const net::Request& request) {
  const std::string& peer = request.peer;
  if (services.tls || peer == "unix" || peer.starts_with("127.") || peer.starts_with("[::1]")) {
    return {};
  }
  return error(
      ErrorCode::kPermissionDenied,
      "secrets go over TLS or to this machine alone, and this connection is neither; start "
      "the coordinator with --tls-cert and --tls-key");
}

std::optional<std::string> path_name(const net::Request& request, const net::Reply& reply) {
  std::string name = request.params.at("name");
  if (Result<void> good = check_secret_name(name); !good) {
    reply.send(problem_response(good.error()));
    return std::nullopt;
  }
  return name;
}

Result<void> check_room(store::Connection& db, KeyId owner, const std::string& name) {
  BCAI_TRY_ASSIGN(const std::vector<store::SecretRecord> secrets, store::list_secrets(db, owner));
  const bool known = std::any_of(secrets.begin(), secrets.end(),
                                 [&](const auto& secret) { return secret.name == name; });
  if (known || secrets.size() < kSecretsOfKeyMax) return {};
  return error(ErrorCode::kResourceExhausted, "a key has at most {} secrets; delete one",
               kSecretsOfKeyMax);
}

// A job that ended, or was given to another, has no use for them.
Result<JobRecord> running_job(store::Connection& db, NodeId node, AttemptId attempt,
                              int64_t epoch) {
  BCAI_TRY_ASSIGN(const JobId id, check_epoch(db, node, attempt, epoch));
  BCAI_TRY_ASSIGN(JobRecord job, find_job(db, id));
  const bool runs = std::any_of(job.attempts.begin(), job.attempts.end(), [&](const auto& one) {
    return one.id == attempt && !is_terminal(one.state);
  });
  if (runs) return job;
  return error(ErrorCode::kFailedPrecondition, "attempt {} has ended", attempt.text());
}

Result<Secrets> open_secrets(const Vault& vault, store::Connection& db, const JobRecord& job) {
  Secrets secrets;
  size_t bytes = 0;
  for (const std::string& name : job.spec.secrets) {
    const Result<std::string> sealed = store::find_secret(db, job.owner, name);
    if (!sealed && sealed.error().code == ErrorCode::kNotFound) {
      return error(ErrorCode::kFailedPrecondition,
                   "the secret {} was deleted after the job was submitted", name);
    }
    if (!sealed) return sealed.error();
    BCAI_TRY_ASSIGN(std::string value, vault.unseal(job.owner, name, *sealed));
    bytes += value.size();
    secrets.emplace_back(name, std::move(value));
  }
  if (bytes <= kSecretsBytesMax) return secrets;
  wipe(&secrets);
  return error(ErrorCode::kFailedPrecondition,
               "the job's secrets take {} bytes, at most {} are possible", bytes, kSecretsBytesMax);
}

}  // namespace

void put_secret(Services& services, Call call) {
  const auto value = std::make_shared<std::string>(std::move(call.request.body));
  const std::optional<std::string> name = path_name(call.request, call.reply);
  Result<void> good = name ? check_way(services, call.request) : Result<void>();
  if (good) good = check_secret_value(*value);
  if (!name || !good) {
    wipe(value.get());
    if (name) call.reply.send(problem_response(good.error()));
    return;
  }
  const KeyId owner = call.who.key;
  const auto bytes = static_cast<int64_t>(value->size());
  const auto sealed = std::make_shared<std::string>(services.vault.seal(owner, *name, *value));
  wipe(value.get());
  const auto fresh = std::make_shared<bool>(false);
  services.database.write(
      [&services, owner, name = *name, bytes, sealed,
       fresh](store::Connection& db) -> Result<void> {
        BCAI_TRY(check_room(db, owner, name));
        BCAI_TRY_ASSIGN(*fresh,
                        store::put_secret(db, services.clock.wall(), owner, name, *sealed, bytes));
        return {};
      },
      [reply = call.reply, owner, name = *name, fresh](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        log_event(LogLevel::kInfo, "secret.set", {{"key", owner.text()}, {"name", name}});
        net::Response response;
        response.status = *fresh ? 201 : 204;
        reply.send(std::move(response));
      });
}

void list_secrets(Services& services, Call call) {
  if (!Query(call.request).good(call.reply)) return;
  services.database.read([reply = call.reply, owner = call.who.key](store::Connection& db) {
    const Result<std::vector<store::SecretRecord>> secrets = store::list_secrets(db, owner);
    if (!secrets) return reply.send(problem_response(secrets.error()));
    json::array list;
    for (const store::SecretRecord& secret : *secrets) list.push_back(secret_json(secret));
    reply.send(json_response(200, json::object{{"secrets", std::move(list)}}));
  });
}

void delete_secret(Services& services, Call call) {
  const std::optional<std::string> name = path_name(call.request, call.reply);
  if (!name) return;
  services.database.write(
      [owner = call.who.key, name = *name](store::Connection& db) {
        return store::delete_secret(db, owner, name);
      },
      [reply = call.reply, owner = call.who.key, name = *name](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        log_event(LogLevel::kInfo, "secret.deleted", {{"key", owner.text()}, {"name", name}});
        net::Response response;
        response.status = 204;
        reply.send(std::move(response));
      });
}

void get_attempt_secrets(Services& services, Call call) {
  const std::optional<AttemptId> attempt = path_id<AttemptId>(call.request, call.reply);
  if (!attempt) return;
  Query query(call.request);
  const std::optional<int64_t> epoch = query.number("epoch", {0, INT64_MAX});
  if (call.request.query.count("epoch") == 0) query.add("epoch", "is required");
  if (!query.good(call.reply)) return;
  if (Result<void> way = check_way(services, call.request); !way) {
    return call.reply.send(problem_response(way.error()));
  }
  services.database.read([&services, reply = call.reply, node = *call.who.node, attempt = *attempt,
                          epoch = *epoch](store::Connection& db) {
    const Result<JobRecord> job = running_job(db, node, attempt, epoch);
    if (!job) return reply.send(problem_response(job.error()));
    Result<Secrets> secrets = open_secrets(services.vault, db, *job);
    if (!secrets) return reply.send(problem_response(secrets.error()));
    net::Response response = json_response(200, bcai::encode(*secrets));
    wipe(&*secrets);
    response.headers.emplace_back("Cache-Control", "no-store");
    reply.send(std::move(response));
  });
}

}  // namespace bcai::coordinator
