// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "node/agent_fixture.h"
#include "protocol/log_record.h"

namespace bcai::node {
namespace {

net::Response respond(int status, const json::value& body) {
  return {
      .status = status, .headers = {{"Content-Type", "application/json"}}, .body = to_text(body)};
}

net::Response problem(int status, json::object body = {}) {
  body["status"] = status;
  body["detail"] = fmt::format("refused with {}", status);
  return respond(status, body);
}

AttemptId attempt_of(const net::Request& request) {
  Result<AttemptId> id = AttemptId::parse(request.params.at("id"));
  BCAI_ASSERT(id);
  return *id;
}

int64_t number(const net::Request& request, const std::string& name) {
  return std::strtoll(request.query.at(name).c_str(), nullptr, 10);
}

}  // namespace

std::vector<net::Route> FakeCoordinator::routes() {
  const auto locked = [this](net::Response (FakeCoordinator::*handle)(const net::Request&)) {
    return [this, handle](net::Request request, net::Reply reply) {
      net::Response response = problem(401);
      {
        const std::lock_guard lock(mutex_);
        const bool open = request.path == "/v1/nodes";
        if (open || known_session(request)) response = (this->*handle)(request);
      }
      reply.send(std::move(response));
      changed_.notify_all();
    };
  };
  const net::RouteOptions large{.body_bytes_max = size_t{16} << 20};
  return {
      {"POST",
       "/v1/nodes/challenge",
       [this](net::Request request, net::Reply reply) {
         const std::lock_guard lock(mutex_);
         const std::string key(to_std(parse_json(request.body)->at("public_key").as_string()));
         nonces_[key] = "nonce-" + key;
         reply.send(respond(200, json::object{{"nonce", nonces_[key]}}));
       },
       {}},
      {"POST", "/v1/nodes", locked(&FakeCoordinator::registered), {}},
      {"GET", "/v1/attempts/{id}/secrets", locked(&FakeCoordinator::get_secrets), {}},
      {"POST",
       "/v1/nodes/{id}/leases",
       [this](net::Request request, net::Reply reply) {
         const std::lock_guard lock(mutex_);
         if (!known_session(request)) return reply.send(problem(401));
         std::vector<Finding> findings;
         waiting_free_ = decode_capacity(parse_json(request.body)->at("free"), &findings);
         state_.polls.push_back(waiting_free_);
         if (waiting_) waiting_->send(respond(200, json::object{{"leases", json::array()}}));
         waiting_ = reply;
         answer_poll();
         if (waiting_ && number(request, "wait") == 0) {
           waiting_->send(respond(200, json::object{{"leases", json::array()}}));
           waiting_.reset();
         }
         changed_.notify_all();
       },
       {}},
      {"POST", "/v1/nodes/{id}/heartbeat", locked(&FakeCoordinator::heard), {}},
      {"POST", "/v1/attempts/{id}/logs", locked(&FakeCoordinator::log_part), large},
      {"POST", "/v1/attempts/{id}/result", locked(&FakeCoordinator::result), large},
      {"PUT", "/v1/artifacts/{sha256}", locked(&FakeCoordinator::put), large},
      {"HEAD", "/v1/artifacts/{sha256}", locked(&FakeCoordinator::head), {}},
      {"GET", "/v1/artifacts/{sha256}", locked(&FakeCoordinator::get), {}},
  };
}

void FakeCoordinator::up() {
  Result<std::unique_ptr<net::Server>> server =
      net::Server::start({.listen = endpoint()}, routes());
  if (!server) assert_failed(server.error().message.c_str(), __FILE__, __LINE__);
  server_ = *std::move(server);
}

void FakeCoordinator::down() {
  server_->stop();
  const std::lock_guard lock(mutex_);
  waiting_.reset();
}

bool FakeCoordinator::known_session(const net::Request& request) const {
  return !session_.empty() && request.header("authorization") == "Bearer " + session_;
}

net::Response FakeCoordinator::registered(const net::Request& request) {
  std::vector<Finding> findings;
  const NodeRegistration read = decode_registration(*parse_json(request.body), &findings);
  const std::string nonce = nonces_[to_hex(read.public_key)];
  if (!findings.empty() || request.header("authorization") != "Bearer bcai_operator" ||
      nonce.empty() || read.nonce != nonce ||
      !verify_signature(read.public_key, std::string(kRegistrationContext) + nonce,
                        read.signature)) {
    return problem(403);
  }
  state_.registrations.push_back(read);
  session_ = fmt::format("bcain_{}", ++sessions_);
  sequence_ = 0;
  return respond(200, json::object{{"node_id", "node_1"}, {"session", session_}});
}

void FakeCoordinator::answer_poll() {
  if (!waiting_ || offered_.empty()) return;
  const Hardware& wants = offered_.front().spec.hardware;
  if (waiting_free_.slots < 1 || waiting_free_.cpu_millicores < wants.cpu_millicores) return;
  json::array leases{encode(offered_.front())};
  offered_.pop_front();
  waiting_->send(respond(200, json::object{{"leases", std::move(leases)}}));
  waiting_.reset();
}

net::Response FakeCoordinator::heard(const net::Request& request) {
  std::vector<Finding> findings;
  const Heartbeat beat = decode_heartbeat(*parse_json(request.body), &findings);
  if (!findings.empty()) state_.problems.push_back(findings_text(findings));
  if (beat.sequence <= sequence_) state_.problems.push_back("an old sequence");
  sequence_ = beat.sequence;
  state_.heartbeats.push_back(beat);
  HeartbeatReply reply{.interval_ms = 200, .attempts = {}};
  for (const HeartbeatAttempt& attempt : beat.attempts) {
    const auto action = actions_.find(attempt.attempt);
    reply.attempts.push_back(
        {attempt.attempt, action == actions_.end() ? LeaseAction::kKeep : action->second});
  }
  return respond(200, encode(reply));
}

net::Response FakeCoordinator::log_part(const net::Request& request) {
  const AttemptId attempt = attempt_of(request);
  std::string& log = state_.logs[attempt];
  const int64_t offset = number(request, "offset");
  if (fenced_.contains(attempt)) return problem(412);
  if (number(request, "epoch") != 7) state_.problems.push_back("a wrong epoch");
  if (offset > static_cast<int64_t>(log.size())) {
    return problem(409, {{"offset", log.size()}});
  }
  size_t whole = 0;
  size_t consumed = 0;
  while (read_log_record(std::string_view(request.body).substr(whole), &consumed))
    whole += consumed;
  if (whole != request.body.size()) state_.problems.push_back("half a record");
  log.resize(static_cast<size_t>(offset));
  log += request.body;
  return respond(200, json::object{{"offset", log.size()}});
}

net::Response FakeCoordinator::result(const net::Request& request) {
  const AttemptId attempt = attempt_of(request);
  std::vector<Finding> findings;
  const AttemptResult read = decode_attempt_result(*parse_json(request.body), &findings);
  if (!findings.empty()) state_.problems.push_back(findings_text(findings));
  bool missing = static_cast<int64_t>(state_.logs[attempt].size()) < read.log_bytes;
  for (const ArtifactRef& artifact : read.artifacts) {
    missing = missing || !state_.artifacts.contains(artifact.sha256);
  }
  const bool fenced = fenced_.contains(attempt);
  if (missing && !fenced) return problem(412);
  state_.results[attempt].push_back(read);
  return respond(200, json::object{{"published", !fenced}});
}

net::Response FakeCoordinator::put(const net::Request& request) {
  if (failing_puts_ > 0) {
    failing_puts_ -= 1;
    return problem(failing_status_);
  }
  const Sha256 digest = *Sha256::parse(request.params.at("sha256"));
  std::string& part = state_.parts[digest];
  int64_t from = 0;
  int64_t to = 0;
  auto total = static_cast<int64_t>(request.body.size());
  if (const std::string range(request.header("content-range")); !range.empty()) {
    if (std::sscanf(range.c_str(), "bytes %ld-%ld/%ld", &from, &to, &total) != 3 ||
        to - from + 1 != static_cast<int64_t>(request.body.size())) {
      state_.problems.push_back("a wrong range: " + range);
    }
  } else {
    part.clear();
  }
  if (request.body.size() > (size_t{8} << 20)) state_.problems.push_back("a part too large");
  if (from != static_cast<int64_t>(part.size())) return problem(409, {{"offset", part.size()}});
  part += request.body;
  state_.artifact_bytes_received += static_cast<int64_t>(request.body.size());
  if (static_cast<int64_t>(part.size()) < total) {
    return respond(202, json::object{{"offset", part.size()}});
  }
  const bool right = Sha256::of(part) == digest;
  if (right) state_.artifacts[digest] = part;
  part.clear();
  return right ? respond(201, json::object{}) : problem(400);
}

net::Response FakeCoordinator::head(const net::Request& request) {
  const Sha256 digest = *Sha256::parse(request.params.at("sha256"));
  if (state_.artifacts.contains(digest)) return {.status = 200, .headers = {}, .body = ""};
  return {.status = 404,
          .headers = {{"Upload-Offset", std::to_string(state_.parts[digest].size())}},
          .body = ""};
}

net::Response FakeCoordinator::get(const net::Request& request) {
  state_.gets += 1;
  const auto found = state_.artifacts.find(*Sha256::parse(request.params.at("sha256")));
  if (found == state_.artifacts.end()) return problem(404);
  return {.status = 200, .headers = {}, .body = found->second};
}

net::Response FakeCoordinator::get_secrets(const net::Request& request) {
  if (number(request, "epoch") != 7) return problem(404);
  return secrets_status_ == 200 ? respond(200, encode(secrets_)) : problem(secrets_status_);
}

void FakeCoordinator::give_secrets(Secrets secrets, int status) {
  const std::lock_guard lock(mutex_);
  secrets_ = std::move(secrets);
  secrets_status_ = status;
}

void FakeCoordinator::offer(const Lease& lease) {
  const std::lock_guard lock(mutex_);
  offered_.push_back(lease);
  answer_poll();
}

void FakeCoordinator::set_action(AttemptId attempt, LeaseAction action) {
  const std::lock_guard lock(mutex_);
  actions_[attempt] = action;
}

void FakeCoordinator::put_artifact(std::string bytes) {
  const std::lock_guard lock(mutex_);
  const Sha256 digest = Sha256::of(bytes);
  state_.artifacts[digest] = std::move(bytes);
}

void FakeCoordinator::forget_session() {
  const std::lock_guard lock(mutex_);
  session_ = "";
}

void FakeCoordinator::forget_artifacts() {
  const std::lock_guard lock(mutex_);
  state_.artifacts.clear();
}

void FakeCoordinator::truncate_log(AttemptId attempt, size_t bytes) {
  const std::lock_guard lock(mutex_);
  state_.logs[attempt].resize(bytes);
}

void FakeCoordinator::fail_next_puts(int count, int status) {
  const std::lock_guard lock(mutex_);
  failing_puts_ = count;
  failing_status_ = status;
}

void FakeCoordinator::fence(AttemptId attempt) {
  const std::lock_guard lock(mutex_);
  fenced_.insert(attempt);
  actions_[attempt] = LeaseAction::kFence;
}

bool FakeCoordinator::wait(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000; ++i) {
    if (holds()) return true;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, Millis(10));
  }
  return false;
}

std::string FakeCoordinator::log_text(AttemptId attempt) {
  const std::lock_guard lock(mutex_);
  std::string_view records = state_.logs[attempt];
  std::string text;
  size_t consumed = 0;
  while (auto record = read_log_record(records, &consumed)) {
    text += record->text;
    records.remove_prefix(consumed);
  }
  return text;
}

size_t FakeCoordinator::results_of(AttemptId attempt) {
  const std::lock_guard lock(mutex_);
  return state_.results[attempt].size();
}

std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i ^ i / 251) % 26);
  return text;
}

bool FakeSandbox::at_gate(sandbox::Cancellation& cancellation) {
  std::unique_lock lock(mutex_);
  while (!open_ && !cancellation.cancelled()) changed_.wait_for(lock, Millis(5));
  return !cancellation.cancelled();
}

void FakeSandbox::open_gate() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

std::vector<sandbox::Task> FakeSandbox::tasks() {
  const std::lock_guard lock(mutex_);
  return tasks_;
}

sandbox::Report FakeSandbox::run(const sandbox::Task& task,
                                 const std::filesystem::path& artifacts_to,
                                 const sandbox::Callbacks& callbacks,
                                 sandbox::Cancellation& cancellation) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(task);
  }
  sandbox::Report report;
  report.outcome = sandbox::Outcome::kFinished;
  callbacks.on_started();
  started_ += 1;
  std::string_view script = task.code;
  while (!script.empty()) {
    const std::string line(script.substr(0, script.find('\n')));
    script.remove_prefix(std::min(line.size() + 1, script.size()));
    const std::string word = line.substr(0, line.find(' '));
    const std::string rest = line.size() > word.size() ? line.substr(word.size() + 1) : "";
    if (word == "out") callbacks.on_output(sandbox::Stream::kStdout, rest + "\n");
    if (word == "err") callbacks.on_output(sandbox::Stream::kStderr, rest + "\n");
    if (word == "message") callbacks.on_message(rest);
    if (word == "dropped") report.usage.output_bytes_dropped = std::stoi(rest);
    if (word == "exit") report.exit_code = std::stoi(rest);
    if (word == "outputs") report.outputs_json = rest;
    if (word == "artifact") {
      const std::string name = rest.substr(0, rest.find(' '));
      const std::string bytes = pattern(std::stoul(rest.substr(name.size() + 1)));
      const auto path = artifacts_to / fmt::format("copy-{}", report.artifacts.size());
      BCAI_ASSERT(write_file(path, bytes));
      report.artifacts.push_back(
          {name, path, Sha256::of(bytes), static_cast<int64_t>(bytes.size())});
    }
    if (word == "gate" && !at_gate(cancellation)) {
      report.outcome = sandbox::Outcome::kCancelled;
      return report;
    }
  }
  return report;
}

}  // namespace bcai::node
