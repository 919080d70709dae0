// SPDX-License-Identifier: Apache-2.0
// The jobs of the REST API, as a user sees them.
#include <gtest/gtest.h>

#include <future>

#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

std::string new_id() {
  static SystemRandom random;
  return JobId::make(SystemClock().wall(), random).text();
}

// The pointers of the findings, in order.
std::vector<std::string> pointers(const Answer& answer) {
  std::vector<std::string> found;
  const json::value* errors =
      answer.json.is_object() ? answer.json.get_object().if_contains("errors") : nullptr;
  if (errors == nullptr) return found;
  for (const json::value& one : errors->as_array()) {
    found.emplace_back(to_std(one.at("pointer").as_string()));
  }
  return found;
}

TEST(JobsApi, ASubmissionIsIdempotentByItsId) {
  TestNetwork network;
  Caller owner = network.owner();
  const std::string id = new_id();
  const json::object body{{"id", id}, {"code", "print(1)"}, {"timeout", 60}};
  const Answer created = owner.post("/v1/jobs", body);
  EXPECT_EQ(created.status, 202) << created.body;
  EXPECT_EQ(created.header("location"), "/v1/jobs/" + id);
  EXPECT_EQ(created.text("state"), "queued");
  EXPECT_FALSE(created.json.at("spec").as_object().contains("code"));

  const Answer repeated = owner.post(
      "/v1/jobs", R"x({"timeout": 60, "name": "job", "code": "print(1)", "id": ")x" + id + "\"}");
  EXPECT_EQ(repeated.status, 200) << repeated.body;
  EXPECT_EQ(repeated.text("id"), id);

  const Answer other = owner.post("/v1/jobs", json::object{{"id", id}, {"code", "print(2)"}});
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.text("code"), "already_exists");
  EXPECT_EQ(network.member().post("/v1/jobs", body).status, 409);
  EXPECT_EQ(owner.get("/v1/jobs").json.at("jobs").as_array().size(), 1U);
}

TEST(JobsApi, WhatIsWrongIsRefusedAndLeavesNothing) {
  TestNetwork network;
  Caller owner = network.owner();
  struct Row {
    std::string body;
    int status;
    std::vector<std::string> pointers;
  };
  const std::string too_long(1'100'000, '#');
  const std::vector<Row> rows = {
      {R"x({"code": "print("})x", 400, {"/code"}},
      {R"x({"code": "import ctypes"})x", 400, {"/code"}},
      {R"x({"code": "print(1)", "hardware": {"gpus": 1}})x", 400, {"/hardware/gpus"}},
      {R"x({"code": "print(1)", "hardware": {"memory": 0}})x", 400, {"/hardware/memory"}},
      {R"x({"code": "print(1)", "hardware": {"cpu_cores": 9999}})x", 400, {"/hardware/cpu_cores"}},
      {R"x({"code": "print(1)", "timeout": 0})x", 400, {"/timeout"}},
      {R"x({"code": "print(1)", "timeout": 99999999999})x", 400, {"/timeout"}},
      {R"x({"code": "print(1)", "timeout": 1e400})x", 400, {}},
      {R"x({"code": "print(1)", "tiemout": 5})x", 400, {"/tiemout"}},
      {R"x({"code": "print(1)", "id": "job_1"})x", 400, {"/id"}},
      {R"x({"code": "print(1)", "id": 5})x", 400, {"/id"}},
      {R"x({"code": "print(1)", "requirements": ["torch>="]})x", 400, {"/requirements/0"}},
      {R"x({"code": "print(1)", "files": [{"path": "a", "bytes": 1000000001, "sha256": ")x" +
           std::string(64, '0') + R"x("}]})x",
       400,
       {"/hardware/disk"}},
      {R"x({"code": "print(1)")x", 400, {}},
      {R"x({"code": "print(1)", "code": "print(2)"})x", 400, {}},
      {"[]", 400, {"", "/code"}},
      {"", 400, {}},
      {"{}", 400, {"/code"}},
      {R"x({"code": ""})x", 400, {"/code"}},
      {R"x({"code": "print(1)", "name": 5})x", 400, {"/name"}},
      {"{\"code\": \"print('\xff')\"}", 400, {}},
      {R"x({"code": ")x" + too_long + "\"}", 400, {"/code"}},
  };
  for (const Row& row : rows) {
    const Answer answer = owner.post("/v1/jobs", row.body);
    EXPECT_EQ(answer.status, row.status) << row.body.substr(0, 200) << "\n" << answer.body;
    EXPECT_EQ(answer.text("code"), "invalid_argument") << answer.body;
    EXPECT_EQ(answer.header("content-type"), "application/problem+json");
    EXPECT_EQ(pointers(answer), row.pointers) << row.body.substr(0, 200) << "\n" << answer.body;
  }
  EXPECT_TRUE(owner.get("/v1/jobs").json.at("jobs").as_array().empty());
}

TEST(JobsApi, AllFindingsComeAtOnceWithTheirPlace) {
  TestNetwork network;
  const Answer answer = network.owner().post(
      "/v1/jobs",
      json::object{
          {"code", "x = 1\nimport ctypes\nimport  socket\n"}, {"timeout", 0}, {"nmae", "x"}});
  ASSERT_EQ(answer.status, 400) << answer.body;
  const std::vector<std::string> found = pointers(answer);
  ASSERT_EQ(found.size(), 4U) << answer.body;
  int lines = 0;
  for (const json::value& one : answer.json.at("errors").as_array()) {
    if (one.at("pointer").as_string() != "/code") continue;
    lines += static_cast<int>(one.at("line").as_int64());
    EXPECT_GT(one.at("column").as_int64(), 0);
  }
  EXPECT_EQ(lines, 2 + 3);
}

TEST(JobsApi, ABodyThatIsTooLargeIsRefused) {
  TestNetwork network;
  const Answer answer =
      network.owner().post("/v1/jobs", R"x({"code": ")x" + std::string(100'000'000, 'x') + "\"}");
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.header("content-type"), "application/problem+json");
}

TEST(JobsApi, TheTitleOfAProblemIsTheReasonPhraseOfItsStatus) {
  TestNetwork network;
  Caller owner = network.owner();
  const std::string artifact = "/v1/artifacts/" + Sha256::of("data").text();
  EXPECT_EQ(owner.put(artifact, "data").status, 201);
  struct Row {
    net::ClientRequest request;
    int status;
    std::string title;
  };
  const std::vector<Row> rows = {
      {{.method = "PATCH", .target = "/v1/jobs"}, 405, "Method Not Allowed"},
      {{.target = "/nowhere"}, 404, "Not Found"},
      {{.method = "POST", .target = "/v1/jobs", .body = std::string(9'000'000, ' ')},
       413,
       "Content Too Large"},
      {{.target = "/v1/jobs", .headers = {{"X", std::string(100'000, 'x')}}},
       431,
       "Request Header Fields Too Large"},
      {{.target = artifact, .headers = {{"Range", "bytes=9-"}}}, 416, "Range Not Satisfiable"},
  };
  for (const Row& row : rows) {
    const Answer answer = owner.send(row.request);
    EXPECT_EQ(answer.status, row.status) << answer.body;
    EXPECT_EQ(answer.number("status"), row.status);
    EXPECT_EQ(answer.text("title"), row.title);
  }
}

TEST(JobsApi, KeysAndRolesAreAsked) {
  TestNetwork network;
  const std::string id = network.owner().submit("print(1)");
  Caller nobody = network.with("");
  EXPECT_EQ(nobody.get("/v1/jobs").status, 401);
  EXPECT_EQ(nobody.get("/v1/jobs").header("www-authenticate"), "Bearer");
  EXPECT_EQ(network.with("bcai_x").get("/v1/jobs").status, 401);
  std::string forged = network.owner().token();
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(network.with(forged).get("/v1/jobs").status, 401);
  EXPECT_EQ(nobody.get("/healthz").status, 200);

  Caller member = network.member();
  EXPECT_EQ(member.get("/v1/jobs/" + id).status, 404);
  EXPECT_EQ(member.get("/v1/jobs/" + id + "/logs").status, 404);
  EXPECT_EQ(member.get("/v1/jobs/" + id + "/events").status, 404);
  EXPECT_EQ(member.post("/v1/jobs/" + id + "/cancel").status, 404);
  EXPECT_TRUE(member.get("/v1/jobs").json.at("jobs").as_array().empty());
  EXPECT_EQ(member.get("/v1/keys").status, 403);
  EXPECT_EQ(member.post("/v1/keys", json::object{{"name", "x"}, {"role", "owner"}}).status, 403);
  const std::string own = member.submit("print(2)");
  EXPECT_EQ(member.get("/v1/jobs/" + own).status, 200);
  EXPECT_EQ(network.owner().get("/v1/jobs/" + own).status, 200);

  Caller node_key = network.with(*network.coordinator().create_key("n", "node"));
  EXPECT_EQ(node_key.get("/v1/jobs").status, 403);
  EXPECT_EQ(node_key.get("/v1/whoami").text("role"), "node");
}

json::object asking_for(const std::vector<std::string>& hosts) {
  return {{"code", "print(1)"}, {"network", json::object{{"allow", json::value_from(hosts)}}}};
}

TEST(JobsApi, AKeyPermitsTheHostsThatItsJobsAskFor) {
  TestNetwork network;
  Caller owner = network.owner();
  const auto make = [&](const json::value& permitted) {
    const Answer made = owner.post(
        "/v1/keys", json::object{{"name", "ci"}, {"role", "member"}, {"network", permitted}});
    EXPECT_EQ(made.status, 201) << made.body;
    return network.with(made.text("key"));
  };
  const json::object patterns{{"allow", {"pypi.org:443", "*.example.org:443"}}};
  Caller some = make(patterns);
  EXPECT_EQ(some.get("/v1/whoami").json.at("network"), json::value(patterns));
  EXPECT_EQ(some.post("/v1/jobs", asking_for({"pypi.org:443", "a.example.org:443"})).status, 202);
  EXPECT_EQ(some.post("/v1/jobs", asking_for({})).status, 202);
  const Answer refused =
      some.post("/v1/jobs", asking_for({"pypi.org:443", "pypi.org:80", "example.org:443"}));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(pointers(refused), (std::vector<std::string>{"/network/allow/1", "/network/allow/2"}));
  const std::string message = fmt::format(
      "the key {} (ci) does not permit pypi.org:80; it permits pypi.org:443, *.example.org:443",
      some.get("/v1/whoami").text("key_id"));
  EXPECT_EQ(refused.json.at("errors").as_array()[0].at("message").as_string(), message);

  Caller none = make(json::object{{"allow", json::array{}}});
  EXPECT_EQ(none.post("/v1/jobs", asking_for({"pypi.org:443"})).status, 400);
  Caller any = make(nullptr);
  EXPECT_EQ(any.post("/v1/jobs", asking_for({"pypi.org:443"})).status, 202);
  EXPECT_TRUE(any.get("/v1/whoami").json.at("network").is_null());
  EXPECT_EQ(owner.get("/v1/keys").json.at("keys").as_array()[1].at("network"),
            json::value(patterns));
  for (const char* bad :
       {"pypi.org", "https://pypi.org:443", "PyPI.org:443", "*pypi.org:443", ""}) {
    const json::object asked{
        {"name", "x"}, {"role", "member"}, {"network", json::object{{"allow", json::array{bad}}}}};
    EXPECT_EQ(owner.post("/v1/keys", asked).status, 400) << bad;
  }
}

TEST(JobsApi, ARevokedKeyOpensNothing) {
  TestNetwork network;
  Caller owner = network.owner();
  const Answer made = owner.post("/v1/keys", json::object{{"name", "m"}, {"role", "member"}});
  ASSERT_EQ(made.status, 201) << made.body;
  Caller member = network.with(made.text("key"));
  EXPECT_EQ(member.get("/v1/whoami").text("key_id"), made.text("id"));
  const auto remove = [&](const std::string& id) {
    return owner.send({.method = "DELETE", .target = "/v1/keys/" + id}).status;
  };
  EXPECT_EQ(remove(made.text("id")), 204);
  EXPECT_EQ(member.get("/v1/whoami").status, 401);
  EXPECT_EQ(remove(made.text("id")), 204);
  EXPECT_EQ(remove(owner.get("/v1/whoami").text("key_id")), 412);
  EXPECT_EQ(owner.get("/v1/whoami").status, 200);
  const Answer list = owner.get("/v1/keys");
  EXPECT_EQ(list.json.at("keys").as_array().size(), 2U);
  EXPECT_EQ(list.body.find(made.text("key").substr(32)), std::string::npos);
}

TEST(JobsApi, ListsInPagesNewestFirst) {
  TestNetwork network;
  Caller owner = network.owner();
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(owner.submit(fmt::format("print({})", i)));
  std::vector<std::string> seen;
  std::string before;
  for (int page = 0; page < 5; ++page) {
    const Answer answer = owner.get("/v1/jobs?limit=2" + before);
    for (const json::value& job : answer.json.at("jobs").as_array()) {
      seen.emplace_back(to_std(job.at("id").as_string()));
    }
    if (answer.json.at("next").is_null()) break;
    before = "&before=" + answer.text("next");
  }
  EXPECT_EQ(seen, std::vector<std::string>(ids.rbegin(), ids.rend()));
  EXPECT_EQ(owner.get("/v1/jobs?state=succeeded").json.at("jobs").as_array().size(), 0U);
  EXPECT_EQ(owner.get("/v1/jobs?state=queued&name=job").json.at("jobs").as_array().size(), 5U);
  EXPECT_EQ(pointers(owner.get("/v1/jobs?state=nope&limit=0&lmit=5")).size(), 3U);
}

TEST(JobsApi, AWaitEndsWithTheChange) {
  TestNetwork network;
  Caller owner = network.owner();
  const std::string id = owner.submit("print(1)");
  auto waiting = std::async(std::launch::async, [&] {
    return network.owner().get("/v1/jobs/" + id + "?wait=30").text("state");
  });
  auto version = std::async(std::launch::async, [&] {
    Caller caller = network.owner();
    const int64_t now = caller.get("/v1/jobs/" + id).number("version");
    const Answer later = caller.get(fmt::format("/v1/jobs/{}?wait=30&version={}", id, now + 100));
    return later.number("version") - now;
  });
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "?wait=1").text("state"), "queued");
  EXPECT_EQ(owner.post("/v1/jobs/" + id + "/cancel").text("state"), "cancelled");
  EXPECT_EQ(waiting.get(), "cancelled");
  EXPECT_GT(version.get(), 0);
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "?wait=30").text("state"), "cancelled");
  EXPECT_EQ(owner.post("/v1/jobs/" + id + "/cancel").status, 202);
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "/results").status, 412);
  EXPECT_GE(owner.get("/v1/jobs/" + id + "/events").json.at("events").as_array().size(), 2U);
}

TEST(JobsApi, AQueuedJobSaysWhatItWaitsFor) {
  TestNetwork network;
  Caller owner = network.owner();
  const std::string id =
      owner.post("/v1/jobs", json::object{{"code", "print(1)"}, {"hardware", {{"gpu_count", 1}}}})
          .text("id");
  FakeNode node(network);
  EXPECT_TRUE(node.poll(0).empty());
  EXPECT_TRUE(eventually([&] {
    const Answer job = owner.get("/v1/jobs/" + id);
    return job.text("reason").find("GPU") != std::string::npos;
  })) << owner.get("/v1/jobs/" + id).body;
}

TEST(JobsApi, WhatIsNotThereIsNotFound) {
  TestNetwork network;
  Caller owner = network.owner();
  EXPECT_EQ(owner.get("/v1/jobs/" + new_id()).status, 404);
  EXPECT_EQ(owner.get("/v1/jobs/nonsense").status, 400);
  EXPECT_EQ(owner.get("/v1/nothing").status, 404);
  EXPECT_EQ(owner.post("/v1/whoami").status, 405);
  EXPECT_EQ(owner.get("/v1/nothing").text("code"), "not_found");
}

}  // namespace
}  // namespace bcai::coordinator
