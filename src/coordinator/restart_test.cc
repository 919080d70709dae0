// SPDX-License-Identifier: Apache-2.0
// One coordinator after another on the same data directory.
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

TEST(Restart, JobsKeysSessionsAndLogsOutliveIt) {
  TestNetwork network;
  FakeNode node(network);
  Caller owner = network.owner();
  const std::string running = owner.submit("print(1)");
  const Lease lease = node.poll(5).at(0);
  const HeartbeatAttempt held{.attempt = lease.attempt,
                              .epoch = lease.epoch,
                              .state = AttemptState::kRunning,
                              .progress = {}};
  node.beat({held});
  const std::string one = log_record("one\n");
  ASSERT_EQ(node.append_log(lease, 0, one).status, 200);
  const std::string queued = owner.submit("print(2)");

  network.restart();
  Caller after = network.owner();
  EXPECT_EQ(after.get("/v1/jobs/" + running).text("state"), "active");
  EXPECT_EQ(node.beat({held}).attempts.at(0).action, LeaseAction::kKeep);
  const auto offset = static_cast<int64_t>(one.size());
  const std::string two = log_record("two\n");
  EXPECT_EQ(node.append_log(lease, offset, two).status, 200);
  EXPECT_EQ(node.finish(lease, FakeNode::finished(2 * offset)).status, 200);
  EXPECT_EQ(after.get("/v1/jobs/" + running).text("state"), "succeeded");
  EXPECT_EQ(after.get("/v1/jobs/" + running + "/logs", {{"Accept", "text/plain"}}).body,
            "one\ntwo\n");
  const std::vector<Lease> next = node.poll(5);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].job.text(), queued);
}

TEST(Restart, ALeaseThatNobodyTookIsGivenToItsNodeAfterwards) {
  TestNetwork network;
  FakeNode node(network);
  network.owner().submit("print(1)");
  const Lease lease = node.poll(5).at(0);
  network.restart();
  const std::vector<Lease> again = node.poll(5);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].attempt, lease.attempt);
}

TEST(Restart, StopsWhileEverybodyWaits) {
  TestNetwork network;
  FakeNode node(network);
  Caller owner = network.owner();
  const std::string id =
      owner.post("/v1/jobs", json::object{{"code", "print(1)"}, {"hardware", {{"gpu_count", 1}}}})
          .text("id");
  const auto ask = [&](const std::string& target, net::Headers headers) {
    net::Client client = std::move(
        *net::Client::make({.endpoint = network.endpoint(), .bearer_token = owner.token()}));
    return client.send({.target = target, .headers = std::move(headers)}).has_value();
  };
  auto waiting =
      std::async(std::launch::async, [&] { return ask("/v1/jobs/" + id + "?wait=60", {}); });
  auto stream = std::async(std::launch::async, [&] {
    return ask("/v1/jobs/" + id + "/logs", {{"Accept", "text/event-stream"}});
  });
  std::this_thread::sleep_for(Millis(200));
  network.coordinator().stop();
  waiting.get();
  stream.get();
  network.restart();
  EXPECT_EQ(network.owner().get("/v1/jobs/" + id).text("state"), "queued");
}

TEST(Restart, ADirectoryHasOneCoordinator) {
  TestNetwork network;
  CoordinatorOptions second = network.options();
  second.listen = "unix:" + (network.directory() / "other").string();
  Result<std::unique_ptr<Coordinator>> refused = Coordinator::start(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("another coordinator"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(network.owner().get("/healthz").status, 200);
}

TEST(Restart, TheDataIsItsOwnersAlone) {
  TestNetwork network;
  struct stat info {};
  ASSERT_EQ(stat((network.directory() / "data").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_FALSE(*network.coordinator().has_no_key());
  CoordinatorOptions wrong = network.options();
  wrong.data_directory = "/proc/nowhere";
  EXPECT_FALSE(Coordinator::start(wrong));
}

// Some of what the callers ask is in the database, at a worker or at the checker when it stops.
TEST(Restart, StopsWhileItIsAskedForAllKindsOfThings) {
  TestNetwork network;
  const std::string key = network.member().token();
  std::atomic<bool> done = false;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      Result<net::Client> client = net::Client::make(
          {.endpoint = "unix:" + (network.directory() / "socket").string(), .bearer_token = key});
      ASSERT_TRUE(client);
      for (int n = 0; !done; ++n) {
        const std::string body = std::to_string(i * 1'000'000 + n);
        const net::ClientRequest upload{
            .method = "PUT", .target = "/v1/artifacts/" + Sha256::of(body).text(), .body = body};
        (void)client->send(n % 2 == 0 ? upload : net::ClientRequest{.target = "/readyz"});
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    network.restart();
  }
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(network.member().get("/readyz").status, 200);
}

TEST(Service, HealthMetricsAndDescriptionNeedNoKey) {
  TestNetwork network;
  network.owner().submit("print(1)");
  Caller anyone = network.with("");
  EXPECT_EQ(anyone.get("/healthz").text("status"), "ok");
  const Answer ready = anyone.get("/readyz");
  EXPECT_EQ(ready.status, 200) << ready.body;
  EXPECT_TRUE(ready.json.at("ready").as_bool());
  const Answer metrics = anyone.get("/metrics");
  EXPECT_NE(metrics.body.find("bcai_jobs{state=\"queued\"} 1"), std::string::npos) << metrics.body;
  EXPECT_NE(metrics.body.find("bcai_submissions_total{outcome=\"created\"} 1"), std::string::npos);
  const Answer description = anyone.get("/openapi.json");
  EXPECT_EQ(description.json.at("openapi"), "3.1.0");
  EXPECT_TRUE(anyone.get("/openapi.yaml").body.starts_with("# SPDX"));
  const Answer page = anyone.get("/docs");
  EXPECT_NE(page.header("content-security-policy").find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(page.body.find("{nonce}"), std::string::npos);
}

}  // namespace
}  // namespace bcai::coordinator
