// SPDX-License-Identifier: Apache-2.0
// Secrets of the REST API: kept for their owner, given to the node of a job that names them.
#include <gtest/gtest.h>

#include "base/file.h"
#include "coordinator/test_network.h"
#include "protocol/secret.h"

namespace bcai::coordinator {
namespace {

const std::string kValue = "hunter22-\u00e9-4711";

Answer submit(Caller& caller, json::array names) {
  return caller.post("/v1/jobs", json::object{{"code", "print(1)"}, {"secrets", std::move(names)}});
}

Answer fetch(FakeNode& node, const Lease& lease) {
  return node.caller().get(
      fmt::format("/v1/attempts/{}/secrets?epoch={}", lease.attempt.text(), lease.epoch));
}

std::string first_finding(const Answer& answer) {
  if (!answer.json.is_object() || !answer.json.as_object().contains("errors")) return answer.body;
  const json::value& one = answer.json.at("errors").at(0);
  return fmt::format("{}: {}", to_std(one.at("pointer").as_string()),
                     to_std(one.at("message").as_string()));
}

TEST(SecretsApi, AreListedAndNeverShown) {
  TestNetwork network;
  Caller member = network.member();
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", "first").status, 201);
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", kValue).status, 204);
  EXPECT_EQ(member.put("/v1/secrets/A", "a").status, 201);
  const Answer list = member.get("/v1/secrets");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.body.find("hunter22"), std::string::npos);
  ASSERT_EQ(list.json.at("secrets").as_array().size(), 2U);
  EXPECT_EQ(list.json.at("secrets").at(0).at("name"), "A");
  EXPECT_EQ(list.json.at("secrets").at(1).at("name"), "TOKEN");
  EXPECT_EQ(list.json.at("secrets").at(1).at("bytes"), static_cast<int64_t>(kValue.size()));
  EXPECT_EQ(member.get("/v1/secrets/TOKEN").status, 405);
  // An owner key has its own alone.
  EXPECT_EQ(network.owner().get("/v1/secrets").json.at("secrets").as_array().size(), 0U);
  EXPECT_EQ(network.owner().send({.method = "DELETE", .target = "/v1/secrets/TOKEN"}).status, 404);
  EXPECT_EQ(member.send({.method = "DELETE", .target = "/v1/secrets/TOKEN"}).status, 204);
  EXPECT_EQ(member.send({.method = "DELETE", .target = "/v1/secrets/TOKEN"}).status, 404);
}

TEST(SecretsApi, RefuseWhatNoVariableCanBe) {
  TestNetwork network;
  Caller member = network.member();
  for (const char* name : {"token", "1A", "A-B", "A%20B", "_%00"}) {
    EXPECT_EQ(member.put(fmt::format("/v1/secrets/{}", name), "x").status, 400) << name;
  }
  EXPECT_EQ(member.put("/v1/secrets/" + std::string(65, 'A'), "x").status, 400);
  EXPECT_EQ(member.put("/v1/secrets/" + std::string(64, 'A'), "x").status, 201);
  EXPECT_EQ(member.put("/v1/secrets/A", "").status, 400);
  EXPECT_EQ(member.put("/v1/secrets/A", std::string("a\0b", 3)).status, 400);
  const Answer binary = member.put("/v1/secrets/A", "\xff\xfe hidden");
  EXPECT_EQ(binary.status, 400);
  EXPECT_EQ(binary.body.find("hidden"), std::string::npos);
  EXPECT_EQ(member.put("/v1/secrets/A", std::string(64 << 10, 'x')).status, 201);
  EXPECT_EQ(member.put("/v1/secrets/A", std::string((64 << 10) + 1, 'x')).status, 413);
}

TEST(SecretsApi, AJobNamesItsSubmittersOwn) {
  TestNetwork network;
  Caller member = network.member();
  Caller other = network.member("another member");
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", kValue).status, 201);
  EXPECT_EQ(member.put("/v1/secrets/OTHER", kValue).status, 201);
  EXPECT_EQ(submit(member, {"TOKEN"}).status, 202);
  EXPECT_EQ(first_finding(submit(member, {"TOKEN", "TOKN"})),
            "/secrets/1: this key has no secret TOKN; it has OTHER, TOKEN");
  EXPECT_EQ(first_finding(submit(other, {"TOKEN"})),
            "/secrets/0: this key has no secret TOKEN; it has none");
  Caller owner = network.owner();
  EXPECT_EQ(submit(owner, {"TOKEN"}).status, 400);
  EXPECT_EQ(first_finding(submit(member, {"TOKEN", "TOKEN"})),
            "/secrets/1: 'TOKEN' is there twice");
  EXPECT_EQ(submit(member, {"token"}).status, 400);
  const Answer clash = member.post("/v1/jobs", json::object{{"code", "print(1)"},
                                                            {"secrets", json::array{"TOKEN"}},
                                                            {"environment", {{"TOKEN", "x"}}}});
  EXPECT_EQ(first_finding(clash), "/secrets/0: 'TOKEN' is in environment too");
}

TEST(SecretsApi, TogetherTheyAreBounded) {
  TestNetwork network;
  Caller member = network.member();
  json::array names;
  for (int i = 0; i < 4; i++) {
    names.push_back(json::value(fmt::format("S{}", i)));
    EXPECT_EQ(member.put(fmt::format("/v1/secrets/S{}", i), std::string(64 << 10, 'x')).status,
              201);
  }
  EXPECT_EQ(first_finding(submit(member, names)),
            "/secrets: take 262144 bytes together, expected at most 245760");
}

TEST(SecretsApi, GoToTheNodeOfTheAttemptWhileItRuns) {
  TestNetwork network;
  Caller member = network.member();
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", "old").status, 201);
  EXPECT_EQ(member.put("/v1/secrets/A", "second").status, 201);
  EXPECT_EQ(submit(member, {"TOKEN", "A"}).status, 202);
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", kValue).status, 204);
  network.restart();  // the key is on disk
  FakeNode node(network);
  FakeNode stranger(network, 2);
  const std::vector<Lease> leases = node.poll(5);
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].spec.secrets, (std::vector<std::string>{"TOKEN", "A"}));

  const Answer answer = fetch(node, leases[0]);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  std::vector<Finding> findings;
  EXPECT_EQ(decode_secrets(answer.json, &findings), (Secrets{{"TOKEN", kValue}, {"A", "second"}}));
  EXPECT_TRUE(findings.empty());
  EXPECT_EQ(fetch(stranger, leases[0]).status, 404);
  Lease later = leases[0];
  later.epoch++;
  EXPECT_EQ(fetch(node, later).status, 404);
  EXPECT_EQ(network.owner()
                .get(fmt::format("/v1/attempts/{}/secrets?epoch=1", leases[0].attempt.text()))
                .status,
            403);

  EXPECT_EQ(node.finish(leases[0], FakeNode::finished()).status, 200);
  EXPECT_EQ(fetch(node, leases[0]).status, 412);
}

TEST(SecretsApi, WhatWasDeletedIsNotGivenOut) {
  TestNetwork network;
  Caller member = network.member();
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", kValue).status, 201);
  EXPECT_EQ(submit(member, {"TOKEN"}).status, 202);
  FakeNode node(network);
  const std::vector<Lease> leases = node.poll(5);
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(member.send({.method = "DELETE", .target = "/v1/secrets/TOKEN"}).status, 204);
  const Answer answer = fetch(node, leases[0]);
  EXPECT_EQ(answer.status, 412);
  EXPECT_EQ(answer.text("detail"), "the secret TOKEN was deleted after the job was submitted");
}

TEST(SecretsApi, GoWithTheirKey) {
  TestNetwork network;
  Caller member = network.member();
  Caller owner = network.owner();
  EXPECT_EQ(member.put("/v1/secrets/TOKEN", kValue).status, 201);
  EXPECT_EQ(owner.put("/v1/secrets/TOKEN", "the owner's").status, 201);
  EXPECT_EQ(submit(member, {"TOKEN"}).status, 202);
  EXPECT_EQ(submit(owner, {"TOKEN"}).status, 202);
  const std::string key = member.get("/v1/whoami").text("key_id");
  EXPECT_EQ(owner.send({.method = "DELETE", .target = "/v1/keys/" + key}).status, 204);
  FakeNode node(network);
  const std::vector<Lease> leases = node.poll(5);
  ASSERT_EQ(leases.size(), 2U);
  for (const Lease& lease : leases) {
    const Answer answer = fetch(node, lease);
    if (lease.tenant == key) {
      EXPECT_EQ(answer.status, 412);
      EXPECT_EQ(answer.text("detail"), "the secret TOKEN was deleted after the job was submitted");
    } else {
      EXPECT_EQ(answer.status, 200);
    }
  }
  EXPECT_NE(leases[0].tenant, leases[1].tenant);
}

TEST(SecretsApi, AreNowhereOnDisk) {
  TestNetwork network;
  EXPECT_EQ(network.member().put("/v1/secrets/TOKEN", kValue).status, 201);
  int files = 0;
  using Files = std::filesystem::recursive_directory_iterator;
  for (const auto& entry : Files(network.directory() / "data")) {
    if (!entry.is_regular_file()) continue;
    const auto data = read_file(entry.path());
    ASSERT_TRUE(data);
    EXPECT_EQ(data->find("hunter22"), std::string::npos) << entry.path();
    files++;
  }
  EXPECT_GE(files, 2);  // the database and its log
}

TEST(SecretsApi, ALostKeyIsNotReplaced) {
  TestNetwork network;
  EXPECT_EQ(network.member().put("/v1/secrets/TOKEN", kValue).status, 201);
  network.coordinator().stop();
  const std::filesystem::path key = network.directory() / "data/secrets.key";
  std::filesystem::rename(key, network.directory() / "elsewhere");
  const auto refused = Coordinator::start(network.options());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("secrets.key is missing"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(key));
  CoordinatorOptions options = network.options();
  options.secrets_key_file = network.directory() / "elsewhere";
  EXPECT_TRUE(Coordinator::start(options));
}

}  // namespace
}  // namespace bcai::coordinator
