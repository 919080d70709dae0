// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/routes.h"

#include <utility>

#include "coordinator/api/answer.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kNone = 4096;       // a body that nobody reads
constexpr size_t kSmall = 64 << 10;  // a secret of the largest size, too
constexpr size_t kNode = 4 << 20;
constexpr size_t kJob = 8 << 20;
constexpr size_t kResult = 16 << 20;
constexpr size_t kPart = 8 << 20;

// clang-format off
constexpr ApiRoute kRoutes[] = {
    {"POST",   "/v1/jobs",                Access::kUser,     submit_job,            kJob},
    {"GET",    "/v1/jobs",                Access::kUser,     list_jobs_page,        kNone},
    {"GET",    "/v1/jobs/{id}",           Access::kUser,     get_job,               kNone},
    {"GET",    "/v1/jobs/{id}/results",   Access::kUser,     get_results,           kNone},
    {"GET",    "/v1/jobs/{id}/events",    Access::kUser,     list_events,           kNone},
    {"GET",    "/v1/jobs/{id}/logs",      Access::kUser,     get_logs,              kNone},
    {"POST",   "/v1/jobs/{id}/cancel",    Access::kUser,     cancel_job,            kNone},
    {"HEAD",   "/v1/artifacts/{sha256}",  Access::kTransfer, check_artifact,        kNone},
    {"GET",    "/v1/artifacts/{sha256}",  Access::kTransfer, get_artifact,          kNone},
    {"PUT",    "/v1/artifacts/{sha256}",  Access::kTransfer, put_artifact,          kPart},
    {"GET",    "/v1/nodes",               Access::kUser,     list_nodes_page,       kNone},
    {"POST",   "/v1/nodes",               Access::kOperator, register_node_session, kNode},
    {"POST",   "/v1/nodes/challenge",     Access::kOpen,     challenge_node,        kSmall},
    {"GET",    "/v1/nodes/{id}",          Access::kUser,     get_node,              kNone},
    {"POST",   "/v1/nodes/{id}/leases",   Access::kSession,  poll_leases,           kNode},
    {"POST",   "/v1/nodes/{id}/heartbeat", Access::kSession, send_heartbeat,        kNode},
    {"POST",   "/v1/attempts/{id}/logs",  Access::kSession,  append_logs,           kNode},
    {"POST",   "/v1/attempts/{id}/result", Access::kSession, send_result,           kResult},
    {"GET",    "/v1/attempts/{id}/secrets", Access::kSession, get_attempt_secrets,  kNone},
    {"GET",    "/v1/secrets",             Access::kUser,     list_secrets,          kNone},
    {"PUT",    "/v1/secrets/{name}",      Access::kUser,     put_secret,            kSmall},
    {"DELETE", "/v1/secrets/{name}",      Access::kUser,     delete_secret,         kNone},
    {"POST",   "/v1/keys",                Access::kOwner,    create_api_key,        kSmall},
    {"GET",    "/v1/keys",                Access::kOwner,    list_api_keys,         kNone},
    {"DELETE", "/v1/keys/{id}",           Access::kOwner,    revoke_api_key,        kNone},
    {"GET",    "/v1/whoami",              Access::kAnyKey,   who_am_i,              kNone},
    {"GET",    "/healthz",                Access::kOpen,     get_health,            kNone},
    {"GET",    "/readyz",                 Access::kOpen,     get_readiness,         kNone},
    {"GET",    "/metrics",                Access::kOpen,     get_metrics,           kNone},
    {"GET",    "/openapi.yaml",           Access::kOpen,     get_openapi_yaml,      kNone},
    {"GET",    "/openapi.json",           Access::kOpen,     get_openapi_json,      kNone},
    {"GET",    "/docs",                   Access::kOpen,     get_docs,              kNone},
};
// clang-format on

Result<void> check(Access access, const Principal& who) {
  const bool session = who.node.has_value();
  const auto refuse = [&](std::string_view expected) {
    return error(ErrorCode::kPermissionDenied, "this needs {}, and this is {}", expected,
                 session ? "a node's session" : fmt::format("a key of role '{}'", name(who.role)));
  };
  switch (access) {
    case Access::kOpen: return {};
    case Access::kAnyKey:
      if (session) return refuse("an API key");
      return {};
    case Access::kUser:
      if (session || who.role == Role::kNode) return refuse("a key of role 'member' or 'owner'");
      return {};
    case Access::kOwner:
      if (session || who.role != Role::kOwner) return refuse("a key of role 'owner'");
      return {};
    case Access::kOperator:
      if (session || who.role == Role::kMember) return refuse("a key of role 'node' or 'owner'");
      return {};
    case Access::kSession:
      if (!session) return refuse("a node's session");
      return {};
    case Access::kTransfer:
      if (!session && who.role == Role::kNode) return refuse("a key of role 'member' or 'owner'");
      return {};
  }
  return refuse("nothing that there is");
}

void serve(Services& services, const ApiRoute& route, net::Request request, net::Reply reply) {
  if (route.access == Access::kOpen) {
    route.handler(services, {.request = std::move(request), .reply = std::move(reply), .who = {}});
    return;
  }
  const std::string authorization(request.header("authorization"));
  auto call = std::make_shared<Call>(
      Call{.request = std::move(request), .reply = std::move(reply), .who = {}});
  services.authenticator.authenticate(
      authorization, [&services, &route, call](Result<Principal> who) {
        if (!who) return call->reply.send(problem_response(who.error()));
        if (Result<void> allowed = check(route.access, *who); !allowed) {
          return call->reply.send(problem_response(allowed.error()));
        }
        call->who = *std::move(who);
        route.handler(services, std::move(*call));
      });
}

}  // namespace

std::span<const ApiRoute> api_routes() { return kRoutes; }

std::vector<net::Route> make_routes(Services& services) {
  std::vector<net::Route> routes;
  for (const ApiRoute& route : kRoutes) {
    routes.push_back({.method = std::string(route.method),
                      .pattern = std::string(route.pattern),
                      .handler =
                          [&services, &route](net::Request request, net::Reply reply) {
                            serve(services, route, std::move(request), std::move(reply));
                          },
                      .options = {.body_bytes_max = route.body_bytes_max}});
  }
  return routes;
}

}  // namespace bcai::coordinator
