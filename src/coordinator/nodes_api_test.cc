// SPDX-License-Identifier: Apache-2.0
// The node protocol over the REST API, with a node that runs nothing.
#include <gtest/gtest.h>

#include <future>

#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

HeartbeatAttempt running(const Lease& lease, double fraction = -1) {
  return {.attempt = lease.attempt,
          .epoch = lease.epoch,
          .state = AttemptState::kRunning,
          .progress = {.fraction = fraction, .message = "half", .metrics = {{"loss", 0.25}}}};
}

TEST(NodesApi, AJobGoesToAWaitingNodeAndItsResultToTheWaitingUser) {
  TestNetwork network;
  FakeNode node(network);
  auto waiting = std::async(std::launch::async, [&] { return node.poll(30); });
  Caller owner = network.owner();
  const std::string id = owner.submit("print(1)");
  const std::vector<Lease> leases = waiting.get();
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].job.text(), id);
  EXPECT_EQ(leases[0].spec.code, "print(1)");

  EXPECT_EQ(node.beat({running(leases[0], 0.5)}).attempts.at(0).action, LeaseAction::kKeep);
  const Answer job = owner.get("/v1/jobs/" + id);
  EXPECT_EQ(job.text("state"), "active") << job.body;
  EXPECT_EQ(job.json.at("progress").at("fraction"), 0.5);
  EXPECT_EQ(job.json.at("progress").at("metrics").at("loss"), 0.25);
  EXPECT_EQ(job.json.at("attempts").as_array().size(), 1U);
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "/results").status, 412);

  auto user = std::async(std::launch::async, [&] {
    return network.owner().get("/v1/jobs/" + id + "?wait=30").text("state");
  });
  const Answer done = node.finish(leases[0], FakeNode::finished());
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_TRUE(done.json.at("published").as_bool());
  EXPECT_EQ(user.get(), "succeeded");
  const Answer results = owner.get("/v1/jobs/" + id + "/results");
  EXPECT_EQ(results.json.at("outputs").at("loss"), 0.5);
  EXPECT_EQ(results.text("attempt_id"), leases[0].attempt.text());
  EXPECT_EQ(owner.get("/v1/jobs/" + id).json.at("result").at("outcome"), "finished");

  const Answer again = node.finish(leases[0], FakeNode::finished());
  EXPECT_EQ(again.status, 200) << again.body;
  EXPECT_TRUE(again.json.at("published").as_bool());
}

TEST(NodesApi, ALeaseWhoseAnswerWasLostIsGivenAgain) {
  TestNetwork network;
  FakeNode node(network);
  network.owner().submit("print(1)");
  const std::vector<Lease> first = node.poll(5);
  ASSERT_EQ(first.size(), 1U);
  const std::vector<Lease> again = node.poll(5);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].attempt, first[0].attempt);
  EXPECT_EQ(again[0].epoch, first[0].epoch);
  EXPECT_TRUE(node.poll(0, {first[0].attempt}).empty());
}

TEST(NodesApi, ASecondPollEndsTheFirst) {
  TestNetwork network;
  FakeNode node(network);
  auto first = std::async(std::launch::async, [&] { return node.poll(30); });
  std::this_thread::sleep_for(Millis(100));
  auto second = std::async(std::launch::async, [&] { return node.poll(30); });
  EXPECT_TRUE(first.get().empty());
  network.owner().submit("print(1)");
  EXPECT_EQ(second.get().size(), 1U);
}

TEST(NodesApi, CancelIsBroughtToTheNodeAtOnce) {
  TestNetwork network;
  FakeNode node(network);
  Caller owner = network.owner();
  const std::string id = owner.submit("print(1)");
  const Lease lease = node.poll(5).at(0);
  node.beat({running(lease)});
  auto parked =
      std::async(std::launch::async, [&] { return node.poll_answer(30, {lease.attempt}); });
  std::this_thread::sleep_for(Millis(100));
  const Answer cancelled = owner.post("/v1/jobs/" + id + "/cancel");
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(cancelled.text("desired"), "cancel");
  EXPECT_EQ(cancelled.text("state"), "active");
  const Answer nudged = parked.get();
  EXPECT_TRUE(nudged.json.at("heartbeat").as_bool()) << nudged.body;
  EXPECT_EQ(node.beat({running(lease)}).attempts.at(0).action, LeaseAction::kCancel);
  AttemptResult result;
  result.outcome = Outcome::kCancelled;
  EXPECT_EQ(node.finish(lease, result).status, 200);
  EXPECT_EQ(owner.get("/v1/jobs/" + id).text("state"), "cancelled");
}

TEST(NodesApi, AResultThatComesTooLateIsKeptAndNotShown) {
  // Long enough that what the test does between two messages fits into it on a busy machine.
  TestNetwork network({.heartbeat = Millis(300),
                       .unknown_after = Millis(1000),
                       .lost_after = Millis(2500),
                       .offer_ttl = Millis(2500)});
  FakeNode slow(network, 1);
  Caller owner = network.owner();
  const std::string id = owner.submit("print(1)");
  const Lease lost = slow.poll(5).at(0);
  slow.beat({running(lost)});
  ASSERT_TRUE(eventually([&] { return owner.get("/v1/jobs/" + id).text("state") == "queued"; }));
  FakeNode other(network, 2);
  const Lease lease = other.poll(5).at(0);
  EXPECT_EQ(lease.job, lost.job);
  EXPECT_GT(lease.epoch, lost.epoch);

  EXPECT_EQ(slow.append_log(lost, 0, log_record("late\n")).status, 412);
  AttemptResult late = FakeNode::finished();
  late.outputs["loss"] = 99;
  const Answer fenced = slow.finish(lost, late);
  EXPECT_EQ(fenced.status, 200) << fenced.body;
  EXPECT_FALSE(fenced.json.at("published").as_bool());
  EXPECT_EQ(owner.get("/v1/jobs/" + id).text("state"), "active");
  EXPECT_EQ(other.finish(lease, FakeNode::finished()).status, 200);
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "/results").json.at("outputs").at("loss"), 0.5);
}

TEST(NodesApi, AQueueTimeoutEndsTheJobInTime) {
  TestNetwork network;
  Caller owner = network.owner();
  const std::string id =
      owner.post("/v1/jobs", json::object{{"code", "print(1)"}, {"queue_timeout", 1}}).text("id");
  EXPECT_EQ(owner.get("/v1/jobs/" + id + "?wait=10").text("state"), "expired");
}

TEST(NodesApi, RegistrationIsProved) {
  TestNetwork network;
  FakeNode node(network);
  const std::string key = *network.coordinator().create_key("n", "node");
  EXPECT_EQ(node.try_register(key).status, 200);
  EXPECT_EQ(node.try_register(key).text("node_id"), node.id());
  EXPECT_EQ(node.try_register(network.member().token()).status, 403);
  EXPECT_EQ(node.try_register(node.session()).status, 401);  // it ended with the new ones
  EXPECT_EQ(node.try_register(key, std::string(80, '0')).status, 401);
  Caller anyone = network.with("");
  const std::string others =
      anyone.post("/v1/nodes/challenge", json::object{{"public_key", std::string(64, 'a')}})
          .text("nonce");
  EXPECT_EQ(node.try_register(key, others).status, 401);
  EXPECT_EQ(anyone.post("/v1/nodes/challenge", json::object{{"public_key", "xyz"}}).status, 400);
}

TEST(NodesApi, ASessionIsOfItsNodeAlone) {
  TestNetwork network;
  FakeNode one(network, 1);
  FakeNode two(network, 2);
  const json::object body{{"free", encode(FakeNode::free())}};
  EXPECT_EQ(one.caller().post("/v1/nodes/" + two.id() + "/leases", body).status, 403);
  EXPECT_EQ(one.caller().get("/v1/jobs").status, 403);
  EXPECT_EQ(network.owner().post("/v1/nodes/" + one.id() + "/leases", body).status, 403);
  network.owner().submit("print(1)");
  const Lease lease = one.poll(5).at(0);
  EXPECT_EQ(two.finish(lease, FakeNode::finished()).status, 404);
  EXPECT_EQ(two.append_log(lease, 0, log_record("x")).status, 404);

  const std::string old = one.session();
  one.register_again();
  EXPECT_EQ(network.with(old).post("/v1/nodes/" + one.id() + "/leases", body).status, 401);
}

TEST(NodesApi, NodesAreShown) {
  TestNetwork network;
  FakeNode node(network);
  node.beat({});
  const Answer list = network.member().get("/v1/nodes");
  ASSERT_EQ(list.json.at("nodes").as_array().size(), 1U) << list.body;
  EXPECT_EQ(list.json.at("nodes").at(0).at("state"), "online");
  const Answer one = network.member().get("/v1/nodes/" + node.id());
  EXPECT_EQ(one.text("name"), "fake");
  EXPECT_EQ(one.json.at("capabilities").at("slots"), 8);
  EXPECT_EQ(network.member().get("/v1/nodes/node_" + std::string(26, '0')).status, 404);
}

TEST(NodesApi, AResultNeedsItsLogAndItsArtifacts) {
  TestNetwork network;
  FakeNode node(network);
  Caller owner = network.owner();
  const std::string id = owner.submit("print(1)");
  const Lease lease = node.poll(5).at(0);
  const std::string log = log_record("1\n");
  AttemptResult result = FakeNode::finished(static_cast<int64_t>(log.size()));
  const std::string artifact = "the outputs";
  result.artifacts.push_back({.name = "outputs.safetensors",
                              .sha256 = Sha256::of(artifact),
                              .bytes = static_cast<int64_t>(artifact.size())});
  EXPECT_EQ(node.finish(lease, result).status, 412);
  EXPECT_EQ(node.append_log(lease, 0, log).status, 200);
  EXPECT_EQ(node.finish(lease, result).status, 412);
  EXPECT_EQ(owner.get("/v1/jobs/" + id).text("state"), "active");
  const std::string path = "/v1/artifacts/" + Sha256::of(artifact).text();
  EXPECT_EQ(node.caller().put(path, artifact).status, 201);
  EXPECT_EQ(node.finish(lease, result).status, 200);
  EXPECT_EQ(owner.get("/v1/jobs/" + id).text("state"), "succeeded");
  EXPECT_EQ(owner.get(path).body, artifact);
}

}  // namespace
}  // namespace bcai::coordinator
