// SPDX-License-Identifier: Apache-2.0
// For tests: a whole coordinator on a unix socket in a directory of its own, callers with keys, and
// a node that speaks the node protocol and runs nothing. A request that gets no answer fails the
// test.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/crypto.h"
#include "base/json.h"
#include "coordinator/coordinator.h"
#include "net/client.h"
#include "protocol/log_record.h"
#include "protocol/node.h"
#include "protocol/result.h"

namespace bcai::coordinator {

struct Answer {
  int status = 0;
  net::Headers headers;
  std::string body;
  json::value json;  // null when the body is none

  std::string text(std::string_view member) const {
    const json::value* found =
        json.is_object() ? json.get_object().if_contains(to_json(member)) : nullptr;
    return found != nullptr && found->is_string() ? std::string(to_std(found->get_string())) : "";
  }
  int64_t number(std::string_view member) const {
    const json::value* found =
        json.is_object() ? json.get_object().if_contains(to_json(member)) : nullptr;
    return found != nullptr && found->is_int64() ? found->get_int64() : -1;
  }
  std::string header(std::string_view wanted) const {
    for (const auto& [name, value] : headers) {
      if (name == wanted) return value;
    }
    return "";
  }
};

// Somebody with a key or a session. One thread.
class Caller {
 public:
  Caller(std::string endpoint, std::string token)
      : client_(std::move(
            *net::Client::make({.endpoint = std::move(endpoint), .bearer_token = token}))),
        token_(std::move(token)) {}

  Answer send(net::ClientRequest request) {
    Result<net::ClientResponse> response = client_.send(request);
    Answer answer;
    EXPECT_TRUE(response) << request.method << " " << request.target << ": "
                          << (response ? "" : response.error().message);
    if (!response) return answer;
    answer.status = response->status;
    answer.headers = response->headers;
    answer.body = std::move(response->body);
    if (Result<json::value> parsed = parse_json(answer.body); parsed) answer.json = *parsed;
    return answer;
  }
  Answer get(std::string target, net::Headers headers = {}) {
    return send({.target = std::move(target), .headers = std::move(headers)});
  }
  Answer post(std::string target, std::string body = "") {
    return send({.method = "POST", .target = std::move(target), .body = std::move(body)});
  }
  Answer post(std::string target, const json::value& body) {
    return post(std::move(target), to_text(body));
  }
  Answer put(std::string target, std::string body, net::Headers headers = {}) {
    return send({.method = "PUT",
                 .target = std::move(target),
                 .headers = std::move(headers),
                 .body = std::move(body)});
  }
  // Submits code and gives the job's id.
  std::string submit(std::string_view code) {
    const Answer answer = post("/v1/jobs", json::object{{"code", to_json(code)}});
    EXPECT_EQ(answer.status, 202) << answer.body;
    return answer.text("id");
  }
  const std::string& token() const { return token_; }

 private:
  net::Client client_;
  std::string token_;
};

class TestNetwork {
 public:
  explicit TestNetwork(Timing timing = {}, UploadLimits uploads = {})
      : timing_(timing), uploads_(uploads) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "bcai_coordinator_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    start();
    owner_key_ = *coordinator_->create_key("the owner", "owner");
  }
  ~TestNetwork() {
    coordinator_.reset();
    std::filesystem::remove_all(directory_);
  }
  TestNetwork(const TestNetwork&) = delete;
  TestNetwork& operator=(const TestNetwork&) = delete;

  CoordinatorOptions options() const {
    return {.data_directory = directory_ / "data",
            .listen = "unix:" + (directory_ / "socket").string(),
            .timing = timing_,
            .uploads = uploads_};
  }
  void start() {
    Result<std::unique_ptr<Coordinator>> started = Coordinator::start(options());
    ASSERT_TRUE(started) << started.error().message;
    coordinator_ = *std::move(started);
  }
  void restart() {
    coordinator_.reset();
    start();
  }

  Coordinator& coordinator() { return *coordinator_; }
  const std::filesystem::path& directory() const { return directory_; }
  std::string endpoint() const { return coordinator_->endpoint(); }
  Caller owner() { return {endpoint(), owner_key_}; }
  Caller member(std::string_view name = "a member") {
    return {endpoint(), *coordinator_->create_key(name, "member")};
  }
  Caller with(std::string token) { return {endpoint(), std::move(token)}; }

 private:
  Timing timing_;
  UploadLimits uploads_;
  std::filesystem::path directory_;
  std::unique_ptr<Coordinator> coordinator_;
  std::string owner_key_;
};

// A node that says what the test wants.
class FakeNode {
 public:
  // Registers with a key of role "node" that it makes.
  explicit FakeNode(TestNetwork& network, uint64_t seed = 1) : network_(network) {
    SeededRandom random(seed);
    key_ = SigningKey::make(random);
    operator_key_ = *network.coordinator().create_key("an operator", "node");
    register_again();
  }

  Answer try_register(const std::string& token, std::string nonce = "") {
    Caller caller = network_.with(token);
    if (nonce.empty()) {
      nonce =
          caller.post("/v1/nodes/challenge", json::object{{"public_key", to_hex(key_.public_key)}})
              .text("nonce");
    }
    NodeRegistration registration{.name = "fake",
                                  .public_key = key_.public_key,
                                  .nonce = nonce,
                                  .signature = key_.sign(std::string(kRegistrationContext) + nonce),
                                  .capabilities = {}};
    Capabilities& offered = registration.capabilities;
    offered.cpu_millicores = 8000;
    offered.memory_bytes = 32'000'000'000;
    offered.disk_bytes = 100'000'000'000;
    offered.slots = 8;
    offered.strangers = true;
    offered.python_version = "3.11.2";
    return caller.post("/v1/nodes", encode(registration));
  }
  void register_again() {
    const Answer answer = try_register(operator_key_);
    ASSERT_EQ(answer.status, 200) << answer.body;
    id_ = answer.text("node_id");
    session_ = answer.text("session");
    sequence_ = 0;
  }

  Caller caller() { return network_.with(session_); }
  const std::string& id() const { return id_; }
  const std::string& session() const { return session_; }

  static Capacity free(int slots = 8) {
    return {.cpu_millicores = 1000 * slots,
            .memory_bytes = int64_t{4'000'000'000} * slots,
            .disk_bytes = int64_t{10'000'000'000} * slots,
            .gpu_count = 0,
            .slots = slots};
  }
  Answer poll_answer(int wait_s, const std::vector<AttemptId>& held = {}, int slots = 8) {
    json::array list;
    for (const AttemptId attempt : held) list.push_back(json::value(attempt.text()));
    return caller().post(fmt::format("/v1/nodes/{}/leases?wait={}", id_, wait_s),
                         json::object{{"free", encode(free(slots))}, {"held", std::move(list)}});
  }
  std::vector<Lease> poll(int wait_s, const std::vector<AttemptId>& held = {}, int slots = 8) {
    const Answer answer = poll_answer(wait_s, held, slots);
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::vector<Lease> leases;
    if (answer.status != 200) return leases;
    for (const json::value& one : answer.json.at("leases").as_array()) {
      std::vector<Finding> findings;
      leases.push_back(decode_lease(one, &findings));
      EXPECT_TRUE(findings.empty()) << findings_text(findings);
    }
    return leases;
  }
  HeartbeatReply beat(const std::vector<HeartbeatAttempt>& attempts) {
    const Heartbeat heartbeat{.sequence = ++sequence_, .free = free(), .attempts = attempts};
    const Answer answer =
        caller().post(fmt::format("/v1/nodes/{}/heartbeat", id_), encode(heartbeat));
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::vector<Finding> findings;
    HeartbeatReply reply = decode_heartbeat_reply(answer.json, &findings);
    EXPECT_TRUE(findings.empty()) << findings_text(findings);
    return reply;
  }
  Answer append_log(const Lease& lease, int64_t offset, const std::string& records) {
    return caller().post(fmt::format("/v1/attempts/{}/logs?epoch={}&offset={}",
                                     lease.attempt.text(), lease.epoch, offset),
                         records);
  }
  Answer finish(const Lease& lease, const AttemptResult& result) {
    return caller().post(
        fmt::format("/v1/attempts/{}/result?epoch={}", lease.attempt.text(), lease.epoch),
        encode(result));
  }
  static AttemptResult finished(int64_t log_bytes = 0) {
    AttemptResult result;
    result.outcome = Outcome::kFinished;
    result.outputs = json::object{{"loss", 0.5}};
    result.log_bytes = log_bytes;
    return result;
  }

 private:
  TestNetwork& network_;
  SigningKey key_;
  std::string operator_key_;
  std::string id_;
  std::string session_;
  int64_t sequence_ = 0;
};

inline std::string log_record(std::string_view text, LogStream stream = LogStream::kStdout) {
  std::string out;
  append_log_record(out, stream, {1'700'000'000'000}, text);
  return out;
}

// Whether it becomes true within ten seconds.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis(10));
  }
  return false;
}

}  // namespace bcai::coordinator
