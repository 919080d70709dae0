// SPDX-License-Identifier: Apache-2.0
#include "node/link.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "node/identity.h"
#include "protocol/problem.h"

namespace bcai::node {
namespace {

constexpr Millis kRegistrationTimeout{15'000};
constexpr int kIdleConnectionsMax = 4;

Answer unreached(Error error) {
  Answer answer;
  answer.error = std::move(error);
  return answer;
}

net::ClientRequest post_json(std::string target, const json::value& body) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = to_text(body);
  request.timeout = kRegistrationTimeout;
  return request;
}

}  // namespace

Dial dial_endpoint(std::string endpoint, std::string ca_file) {
  return [endpoint = std::move(endpoint), ca_file = std::move(ca_file)]() -> Result<Wire> {
    BCAI_TRY_ASSIGN(net::Client made,
                    net::Client::make({.endpoint = endpoint, .ca_file = ca_file}));
    auto client = std::make_shared<net::Client>(std::move(made));
    return Wire{
        .send = [client](const net::ClientRequest& request) { return client->send(request); },
        .cancel = [client] { client->cancel(); }};
  };
}

bool Answer::passing() const {
  return status == 0 || status == 401 || status == 408 || status == 429 || status >= 500;
}

Millis Answer::retry_after() const {
  const std::string_view text = response.header("retry-after");
  int64_t seconds = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (code != std::errc() || seconds < 0 || seconds > 3600) return Millis(0);
  return std::chrono::seconds(seconds);
}

int64_t Answer::number(std::string_view name) const {
  Result<json::value> body = parse_json(response.body);
  if (!body || !body->is_object()) return -1;
  const json::value* found = body->get_object().if_contains(to_json(name));
  return found != nullptr && found->is_int64() ? found->get_int64() : -1;
}

Result<std::shared_ptr<Link::Connection>> Link::take_connection(bool polls) {
  const auto refused = [&] {
    return stopped_ || (polls && polling_stopped_)
               ? std::optional(error(ErrorCode::kCancelled, "the node stops"))
               : std::nullopt;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto why = refused()) return *std::move(why);
    for (const auto& connection : connections_) {
      if (connection->in_use || connection->polls != polls) continue;
      connection->in_use = true;
      return connection;
    }
  }
  BCAI_TRY_ASSIGN(Wire wire, options_.dial());
  auto connection = std::make_shared<Connection>();
  *connection = {.wire = std::move(wire), .polls = polls, .in_use = true};
  const std::lock_guard lock(mutex_);
  if (auto why = refused()) return *std::move(why);
  connections_.push_back(connection);
  return connection;
}

Answer Link::send(Connection& connection, const net::ClientRequest& request) {
  Result<net::ClientResponse> response = connection.wire.send(request);
  if (!response) {
    // A wait that we ended, and an answer that we did not want, say nothing of the coordinator.
    const ErrorCode code = response.error().code;
    if (code == ErrorCode::kUnavailable || code == ErrorCode::kDeadlineExceeded) {
      set_reachable(false);
    }
    return unreached(std::move(response).error());
  }
  // A gateway answers for a coordinator that does not.
  set_reachable(response->status != 502 && response->status != 504);
  Answer answer;
  answer.status = response->status;
  answer.response = *std::move(response);
  if (!answer.ok()) answer.error = decode_problem(answer.status, answer.response.body);
  return answer;
}

Result<void> Link::register_node(Connection& connection) {
  const Answer challenge = send(
      connection, post_json("/v1/nodes/challenge",
                            json::object{{"public_key", to_hex(options_.identity.public_key)}}));
  if (!challenge.ok()) return challenge.error;
  BCAI_TRY_ASSIGN(const json::value nonce_body, parse_json(challenge.response.body));
  std::vector<Finding> findings;
  std::string nonce;
  Decoder(nonce_body, "", &findings).require("nonce", nonce, TextLimit{1, 128});
  if (!findings.empty()) {
    return error(ErrorCode::kDataLoss, "challenge: {}", findings_text(findings));
  }
  net::ClientRequest request = post_json(
      "/v1/nodes",
      encode(make_registration(options_.identity, options_.name, nonce, options_.capabilities)));
  request.headers.emplace_back("Authorization", "Bearer " + options_.key);
  const Answer answer = send(connection, request);
  if (!answer.ok()) return answer.error;
  BCAI_TRY_ASSIGN(const json::value body, parse_json(answer.response.body));
  Session opened;
  Decoder in(body, "", &findings);
  in.require("node_id", opened.node_id, TextLimit{1, 64});
  in.require("session", opened.token, TextLimit{1, 256});
  if (!findings.empty()) {
    return error(ErrorCode::kDataLoss, "registration: {}", findings_text(findings));
  }
  const std::lock_guard lock(mutex_);
  session_ = std::move(opened);
  return {};
}

// One thread registers, the others wait for it and take its session.
Result<void> Link::open_session(Connection& connection, const std::string& instead_of) {
  const std::lock_guard registering(registering_);
  if (session().token != instead_of) return {};
  return register_node(connection);
}

Answer Link::send_with_session(net::ClientRequest request, bool polls) {
  Result<std::shared_ptr<Connection>> taken = take_connection(polls);
  if (!taken) return unreached(std::move(taken).error());
  const std::shared_ptr<Connection> connection = *std::move(taken);
  const std::string target = request.target;
  const size_t placeholder = target.find("{node}");
  request.headers.emplace_back("Authorization", "");
  Answer answer;
  std::string refused;  // the token that the coordinator knows no more
  for (int attempt = 0; attempt < 2; ++attempt) {
    Session with = session();
    if (with.token == refused) {
      if (Result<void> opened = open_session(*connection, refused); !opened) {
        answer = unreached(std::move(opened).error());
        break;
      }
      with = session();
    }
    request.headers.back().second = "Bearer " + with.token;
    request.target = target;
    if (placeholder != std::string::npos) request.target.replace(placeholder, 6, with.node_id);
    answer = send(*connection, request);
    if (answer.status != 401) break;
    refused = with.token;
  }
  give_back(connection);
  return answer;
}

// A burst leaves some connections open for the next one, not all.
void Link::give_back(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  connection->in_use = false;
  const auto idle = std::count_if(connections_.begin(), connections_.end(), [&](const auto& other) {
    return !other->in_use && other->polls == connection->polls;
  });
  if (idle > kIdleConnectionsMax) std::erase(connections_, connection);
}

Result<void> Link::connect() {
  if (!node_id().empty()) return {};
  BCAI_TRY_ASSIGN(const std::shared_ptr<Connection> connection, take_connection(false));
  Result<void> opened = open_session(*connection, "");
  give_back(connection);
  return opened;
}

Answer Link::ask(net::ClientRequest request) {
  return send_with_session(std::move(request), false);
}
Answer Link::poll(net::ClientRequest request) {
  return send_with_session(std::move(request), true);
}

bool Link::pause(Millis pause) {
  std::unique_lock lock(mutex_);
  const int64_t seen = revivals_;
  changed_.wait_for(lock, pause, [&] { return stopped_ || revivals_ != seen; });
  return !stopped_;
}

void Link::set_reachable(bool reachable) {
  if (reachable_.exchange(reachable) == reachable) return;
  if (!reachable) {
    outages_ += 1;
    return;
  }
  const std::lock_guard lock(mutex_);
  revivals_ += 1;
  changed_.notify_all();
}

void Link::stop_polling() {
  const std::lock_guard lock(mutex_);
  polling_stopped_ = true;
  for (const auto& connection : connections_) {
    if (connection->polls) connection->wire.cancel();
  }
}

void Link::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const auto& connection : connections_) connection->wire.cancel();
  changed_.notify_all();
}

std::string Link::node_id() const { return session().node_id; }

Link::Session Link::session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

}  // namespace bcai::node
