// SPDX-License-Identifier: Apache-2.0
// coordinator_answers: asks every route of a coordinator of its own, rightly and wrongly, and
// prints each exchange as a line of JSON. tests/api holds them to schema/openapi.yaml.
#include <cstdio>

#include "base/log.h"
#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

class Recorder {
 public:
  explicit Recorder(std::string endpoint) : endpoint_(std::move(endpoint)) {}

  Answer send(const std::string& token, net::ClientRequest request) {
    Caller caller(endpoint_, token);
    Answer answer = caller.send(request);
    json::object line{{"method", request.method},
                      {"target", request.target},
                      {"request", request.body},
                      {"status", answer.status},
                      {"content_type", answer.header("content-type")},
                      {"body", answer.json}};
    Result<json::value> body = parse_json(request.body);
    line["request"] = body ? *body : json::value(nullptr);
    std::puts(to_text(line).c_str());
    return answer;
  }
  Answer get(const std::string& token, std::string target, net::Headers headers = {}) {
    return send(token, {.target = std::move(target), .headers = std::move(headers)});
  }
  Answer post(const std::string& token, std::string target, const json::value& body) {
    return send(token, {.method = "POST", .target = std::move(target), .body = to_text(body)});
  }

 private:
  std::string endpoint_;
};

void ask_users_side(Recorder& record, const std::string& key, const std::string& job) {
  for (const char* suffix : {"", "?wait=1", "?wait=99", "/results", "/events", "/logs",
                             "/logs?offset=1", "/logs?limit=nonsense"}) {
    record.get(key, "/v1/jobs/" + job + suffix);
  }
  record.get(key, "/v1/jobs/" + job + "/logs", {{"Accept", "text/plain"}});
  record.get(key, "/v1/jobs?limit=1");
  record.get(key, "/v1/jobs?state=nonsense");
  record.get(key, "/v1/jobs/nonsense");
  record.get(key, "/v1/jobs/job_" + std::string(26, '0'));
  record.get(key, "/v1/whoami");
  record.get("", "/v1/whoami");
  record.get(key, "/v1/nodes");
}

void ask_jobs(Recorder& record, const std::string& owner, const std::string& member) {
  const json::object job{{"id", "job_" + std::string(25, '0') + "1"},
                         {"code", "print(1)"},
                         {"name", "one"},
                         {"requirements", json::array{"torch>=1.12"}},
                         {"hardware", {{"gpu_memory", "8GB"}, {"gpu_count", 1}}}};
  const std::string id = record.post(owner, "/v1/jobs", job).text("id");
  record.post(owner, "/v1/jobs", job);
  json::object other = job;
  other["code"] = "print(2)";
  record.post(owner, "/v1/jobs", other);
  record.post(owner, "/v1/jobs", json::object{{"code", "import ctypes\n("}, {"tiemout", 1}});
  record.post("", "/v1/jobs", job);
  ask_users_side(record, owner, id);
  record.get(member, "/v1/jobs/" + id);
  record.get(member, "/v1/keys");
  record.post(owner, "/v1/jobs/" + id + "/cancel", nullptr);
  record.get(owner, "/v1/jobs/" + id + "/logs", {{"Accept", "text/event-stream"}});
  json::object files = job;
  files["id"] = "job_" + std::string(25, '0') + "2";
  files["files"] =
      json::array{json::object{{"path", "a"}, {"sha256", std::string(64, '0')}, {"bytes", 1}}};
  record.post(owner, "/v1/jobs", files);
}

void ask_keys(Recorder& record, const std::string& owner) {
  const Answer key =
      record.post(owner, "/v1/keys", json::object{{"name", "x"}, {"role", "member"}});
  record.post(owner, "/v1/keys", json::object{{"name", ""}, {"role", "king"}});
  record.send(owner, {.method = "DELETE", .target = "/v1/keys/" + key.text("id")});
  record.send(owner, {.method = "DELETE", .target = "/v1/keys/key_" + std::string(26, '0')});
  record.get(owner, "/v1/keys");
}

void ask_artifacts(Recorder& record, const std::string& owner) {
  const std::string data = "some data";
  const std::string path = "/v1/artifacts/" + Sha256::of(data).text();
  const auto put = [&](std::string body, std::string range) {
    net::ClientRequest request{.method = "PUT", .target = path, .body = std::move(body)};
    if (!range.empty()) request.headers = {{"Content-Range", range}};
    record.send(owner, request);
  };
  record.send(owner, {.method = "HEAD", .target = path});
  put("some", "bytes 0-3/9");
  put("data", "bytes 5-8/9");
  put(" data", "bytes 4-8/9");
  put("wrong", "");
  put("part", "bytes 0-3/99999999999");
  record.send(owner, {.method = "HEAD", .target = path});
  record.get(owner, path);
  record.get(owner, path, {{"Range", "bytes=0-3"}});
  record.get(owner, path, {{"Range", "bytes=100-"}});
  record.get(owner, "/v1/artifacts/" + std::string(64, '0'));
}

void ask_secrets(Recorder& record, const std::string& owner) {
  const auto send = [&](const char* method, const char* name, std::string value) {
    record.send(owner, {.method = method,
                        .target = fmt::format("/v1/secrets/{}", name),
                        .body = std::move(value)});
  };
  send("PUT", "TOKEN", "the first value");
  send("PUT", "TOKEN", "the second value");
  send("PUT", "GONE", "a value");
  send("PUT", "token", "a value");
  send("PUT", "TOKEN", "");
  record.get(owner, "/v1/secrets");
  record.get("", "/v1/secrets");
  send("DELETE", "GONE", "");
  send("DELETE", "GONE", "");
}

void ask_node_side(Recorder& record, TestNetwork& network, const std::string& owner) {
  FakeNode node(network);
  const std::string token = node.session();
  const std::string of_node = "/v1/nodes/" + node.id();
  record.get(owner, of_node);
  record.get(owner, "/v1/nodes/node_" + std::string(26, '0'));
  record.post("", "/v1/nodes/challenge", json::object{{"public_key", std::string(64, 'a')}});
  record.post("", "/v1/nodes/challenge", json::object{{"public_key", 5}});
  record.post(owner, "/v1/nodes", json::object{{"name", "x"}});
  record.post(
      owner, "/v1/jobs",
      json::object{
          {"code", "print(1)"}, {"environment", {{"A", "b"}}}, {"secrets", json::array{"TOKEN"}}});
  record.post(owner, "/v1/jobs",
              json::object{{"code", "print(1)"}, {"secrets", json::array{"GONE"}}});
  const json::object poll{{"free", encode(FakeNode::free())}, {"held", json::array()}};
  const Answer leases = record.post(token, of_node + "/leases?wait=5", poll);
  record.post(token, of_node + "/leases", json::object{{"fre", 1}});
  record.post(owner, of_node + "/leases", poll);
  std::vector<Finding> findings;
  const Lease lease = decode_lease(leases.json.at("leases").at(0), &findings);
  Heartbeat beat{.sequence = 1, .free = FakeNode::free(), .attempts = {}};
  beat.attempts.push_back({.attempt = lease.attempt,
                           .epoch = lease.epoch,
                           .state = AttemptState::kRunning,
                           .progress = {.fraction = 0.5, .message = "", .metrics = {{"loss", 1}}}});
  record.post(token, of_node + "/heartbeat", encode(beat));
  record.post(token, of_node + "/heartbeat", json::object{{"sequence", -1}});
  const std::string attempt = "/v1/attempts/" + lease.attempt.text();
  const std::string epoch = fmt::format("epoch={}", lease.epoch);
  const std::string log = log_record("hello\n");
  const auto append = [&](const std::string& query) {
    record.send(token, {.method = "POST", .target = attempt + "/logs?" + query, .body = log});
  };
  append(epoch + "&offset=0");
  append(epoch + "&offset=999");
  append("offset=0");
  append("epoch=999&offset=0");
  record.get(token, attempt + "/secrets?" + epoch);
  record.get(token, attempt + "/secrets?epoch=999");
  record.get(token, attempt + "/secrets");
  record.get(owner, attempt + "/secrets?" + epoch);
  ask_users_side(record, owner, lease.job.text());
  AttemptResult result = FakeNode::finished(static_cast<int64_t>(log.size()));
  result.error = {.type = "ValueError", .message = "x", .traceback = "y", .line = 3};
  result.tensors.push_back({.name = "w", .dtype = "F32", .shape = {2, 3}});
  result.left_out.push_back({.name = "model", .reason = "not carried"});
  result.exit_code = 1;
  AttemptResult early = result;
  early.log_bytes = 1000;
  record.post(token, attempt + "/result?" + epoch, encode(early));
  record.post(token, attempt + "/result?" + epoch, json::object{{"outcome", "nonsense"}});
  record.post(token, attempt + "/result?" + epoch, encode(result));
  record.post(token, attempt + "/result?" + epoch, encode(result));
  ask_users_side(record, owner, lease.job.text());
}

void ask_everything() {
  TestNetwork network;
  Recorder record(network.endpoint());
  const std::string owner = network.owner().token();
  const std::string member = network.member().token();
  for (const char* path :
       {"/healthz", "/readyz", "/metrics", "/openapi.yaml", "/openapi.json", "/docs"}) {
    record.get("", path);
  }
  ask_jobs(record, owner, member);
  ask_keys(record, owner);
  ask_artifacts(record, owner);
  ask_secrets(record, owner);
  ask_node_side(record, network, owner);
}

}  // namespace
}  // namespace bcai::coordinator

int main() {
  bcai::configure_log(bcai::LogLevel::kOff, bcai::LogFormat::kText);
  bcai::coordinator::ask_everything();
  return 0;
}
