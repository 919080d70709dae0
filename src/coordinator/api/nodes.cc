// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/challenge.h"
#include "coordinator/api/handlers.h"
#include "coordinator/api/job_json.h"
#include "coordinator/jobs/job_head.h"
#include "coordinator/store/sessions.h"

namespace bcai::coordinator {
namespace {

// The {id} of the path, which must be the session's own node.
std::optional<NodeId> own_node(const Call& call) {
  const std::optional<NodeId> node = path_id<NodeId>(call.request, call.reply);
  if (!node) return std::nullopt;
  if (node == call.who.node) return node;
  call.reply.send(problem_response(
      error(ErrorCode::kPermissionDenied, "the session is of another node than {}", node->text())));
  return std::nullopt;
}

std::optional<std::vector<AttemptId>> read_held(Decoder& in) {
  if (in.take("held") == nullptr) return std::nullopt;
  std::vector<AttemptId> held;
  std::vector<std::string> texts;
  in.read("held", texts, 10'000);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (Result<AttemptId> id = AttemptId::parse(texts[i]); id) {
      held.push_back(*id);
    } else {
      in.add("held", id.error().message);
      break;
    }
  }
  return held;
}

std::string key_text(const std::array<uint8_t, 32>& key) { return to_hex(key); }

struct Registration {
  NodeRegistration asked;
  NodeId node;
  std::string session;
};

Result<void> commit_registration(Services& services, store::Connection& db, const Principal& who,
                                 Registration& registration) {
  BCAI_TRY_ASSIGN(registration.node, register_node(db, services.clock.wall(), services.random,
                                                   registration.asked, who.key));
  return store::begin_session(db, {.token_hash = hash_of_secret(registration.session),
                                   .node = registration.node,
                                   .key = who.key,
                                   .created_at = services.clock.wall()});
}

}  // namespace

void list_nodes_page(Services& services, Call call) {
  if (!Query(call.request).good(call.reply)) return;
  services.database.read([&services, call = std::move(call)](store::Connection& db) {
    Result<std::vector<NodeRecord>> nodes = list_nodes(db, services.clock.wall(), services.timing);
    if (!nodes) return call.reply.send(problem_response(nodes.error()));
    json::array list;
    for (const NodeRecord& node : *nodes) list.push_back(node_json(node));
    call.reply.send(json_response(200, json::object{{"nodes", std::move(list)}}));
  });
}

void get_node(Services& services, Call call) {
  const std::optional<NodeId> id = path_id<NodeId>(call.request, call.reply);
  if (!id || !Query(call.request).good(call.reply)) return;
  services.database.read([&services, call = std::move(call), id = *id](store::Connection& db) {
    Result<std::vector<NodeRecord>> nodes = list_nodes(db, services.clock.wall(), services.timing);
    if (!nodes) return call.reply.send(problem_response(nodes.error()));
    for (const NodeRecord& node : *nodes) {
      if (node.id == id) return call.reply.send(json_response(200, node_json(node)));
    }
    call.reply.send(
        problem_response(error(ErrorCode::kNotFound, "there is no node {}", id.text())));
  });
}

void challenge_node(Services& services, Call call) {
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  Decoder in(*body, "", &findings);
  std::string key;
  in.require("public_key", key, TextLimit{1, 128});
  in.refuse_unknown();
  const Result<std::string> bytes = from_hex(key);
  if (findings.empty() && (!bytes || bytes->size() != 32)) {
    in.add("public_key", "expected 64 hexadecimal digits");
  }
  if (!findings.empty()) return call.reply.send(findings_response("request", findings));
  call.reply.send(json_response(200, json::object{{"nonce", services.challenges.make(key)}}));
}

void register_node_session(Services& services, Call call) {
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  auto registration = std::make_shared<Registration>();
  registration->asked = decode_registration(*body, &findings);
  if (!findings.empty()) return call.reply.send(findings_response("registration", findings));
  const NodeRegistration& asked = registration->asked;
  const bool proved =
      services.challenges.holds(asked.nonce, key_text(asked.public_key)) &&
      verify_signature(asked.public_key, std::string(kRegistrationContext) + asked.nonce,
                       asked.signature);
  if (!proved) {
    return call.reply.send(problem_response(
        error(ErrorCode::kUnauthenticated,
              "the nonce is not of this key or older than a minute, or the signature is wrong")));
  }
  registration->session = make_session_text(services.random);
  services.database.write(
      [&services, who = call.who, registration](store::Connection& db) {
        return commit_registration(services, db, who, *registration);
      },
      [&services, reply = call.reply, registration](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        services.authenticator.forget(registration->node);
        log_event(LogLevel::kInfo, "node.registered",
                  {{"node", registration->node.text()}, {"name", registration->asked.name}});
        reply.send(json_response(200, json::object{{"node_id", registration->node.text()},
                                                   {"session", registration->session}}));
      });
}

void poll_leases(Services& services, Call call) {
  const std::optional<NodeId> node = own_node(call);
  if (!node) return;
  Query query(call.request);
  const Millis wait(query.number("wait", {0, 60}).value_or(0) * 1000);
  if (!query.good(call.reply)) return;
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  Decoder in(*body, "", &findings);
  Capacity free;
  if (const json::value* value = in.take("free"); value != nullptr) {
    free = decode_capacity(*value, &findings);
  } else {
    in.add("free", "is required");
  }
  std::optional<std::vector<AttemptId>> held = read_held(in);
  in.refuse_unknown();
  if (!findings.empty()) return call.reply.send(findings_response("request", findings));
  services.dispatch.poll(
      {.node = *node, .free = free, .held = std::move(held), .wait = wait, .reply = call.reply});
}

void send_heartbeat(Services& services, Call call) {
  const std::optional<NodeId> node = own_node(call);
  if (!node) return;
  const std::optional<json::value> body = json_body(call.request, call.reply);
  if (!body) return;
  std::vector<Finding> findings;
  const Heartbeat beat = decode_heartbeat(*body, &findings);
  if (!findings.empty()) return call.reply.send(findings_response("heartbeat", findings));

  struct Outcome {
    HeartbeatReply reply;
    std::vector<JobId> jobs;
  };
  auto outcome = std::make_shared<Outcome>();
  services.database.write(
      [&services, node = *node, beat, outcome](store::Connection& db) -> Result<void> {
        // Before: what it does not bring back will have changed too.
        BCAI_TRY_ASSIGN(outcome->jobs, jobs_held_by(db, node));
        BCAI_TRY_ASSIGN(outcome->reply,
                        heartbeat(db, services.clock.wall(), node, beat, services.timing));
        return {};
      },
      [&services, reply = call.reply, outcome](Result<void> done) {
        if (!done) return reply.send(problem_response(done.error()));
        reply.send(json_response(200, encode(outcome->reply)));
        services.watch.changed(outcome->jobs);
        services.dispatch.deadline_within(services.timing.unknown_after);
        if (!outcome->jobs.empty()) services.dispatch.kick();
      });
}

}  // namespace bcai::coordinator
