// SPDX-License-Identifier: Apache-2.0
#include "node/agent.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/log.h"
#include "node/agent_fixture.h"
#include "node/backoff.h"

namespace bcai::node {
namespace {

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    configure_log(LogLevel::kOff, LogFormat::kText);
    std::string name = ::testing::TempDir() + "/agentXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    coordinator = std::make_unique<FakeCoordinator>(directory / "socket");
  }
  void TearDown() override {
    agent.reset();
    EXPECT_EQ(coordinator->look([](const auto& state) { return state.problems; }),
              std::vector<std::string>());
    coordinator->down();
    std::filesystem::remove_all(directory);
  }

  Result<std::unique_ptr<Agent>> make_agent(int slots = 2) {
    AgentOptions options;
    options.link = {.dial = dial_endpoint(coordinator->endpoint(), ""),
                    .key = "bcai_operator",
                    .name = "test",
                    .identity = identity,
                    .capabilities = {}};
    options.means.run = [this](const sandbox::Task& task, const std::filesystem::path& artifacts_to,
                               const sandbox::Callbacks& callbacks,
                               sandbox::Cancellation& cancellation) {
      return box.run(task, artifacts_to, callbacks, cancellation);
    };
    options.means.prepare = prepare;
    options.data_directory = directory / "data";
    options.offered = {.cpu_millicores = 1000 * slots,
                       .memory_bytes = 64'000'000'000,
                       .disk_bytes = 64'000'000'000,
                       .slots = slots};
    options.cache_bytes_max = 1'000'000;
    return Agent::start(std::move(options));
  }
  void start(int slots = 2) {
    Result<std::unique_ptr<Agent>> made = make_agent(slots);
    ASSERT_TRUE(made) << made.error().message;
    agent = *std::move(made);
  }

  Lease lease(uint8_t number, std::string code) {
    Lease made;
    made.attempt.bytes[15] = number;
    made.epoch = 7;
    made.spec.name = "job";
    made.spec.code = std::move(code);
    return made;
  }
  AttemptId id(uint8_t number) { return lease(number, "").attempt; }

  AttemptResult result_of(AttemptId attempt) {
    EXPECT_TRUE(coordinator->wait([&] { return coordinator->results_of(attempt) > 0; }));
    return coordinator->look([&](const auto& state) {
      const auto found = state.results.find(attempt);
      return found == state.results.end() || found->second.empty() ? AttemptResult{}
                                                                   : found->second.back();
    });
  }
  bool nothing_held() {
    return coordinator->wait([&] {
      return std::filesystem::is_empty(directory / "data/attempts") &&
             agent->status().metrics["attempts_held"] == 0;
    });
  }

  std::filesystem::path directory;
  SigningKey identity = SigningKey::from_seed(std::array<uint8_t, 32>{1, 2, 3});
  FakeSandbox box;
  PrepareEnvironment prepare;
  std::unique_ptr<FakeCoordinator> coordinator;
  std::unique_ptr<Agent> agent;
};

TEST_F(AgentTest, ShipsLogArtifactsAndResult) {
  start();
  coordinator->offer(lease(1,
                           "out hello\nerr oops\nartifact outputs/m.bin 100000\n"
                           "artifact again.bin 100000\nexit 3\noutputs {\"outputs\":{\"x\":1}}"));
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.outcome, Outcome::kFinished);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(to_text(result.outputs), R"({"x":1})");
  ASSERT_EQ(result.artifacts.size(), 2U);
  EXPECT_EQ(coordinator->log_text(id(1)), "hello\noops\n");
  EXPECT_EQ(result.log_bytes, 2 * 16 + 11);
  EXPECT_EQ(coordinator->look(
                [&](const auto& state) { return state.artifacts.at(result.artifacts[0].sha256); }),
            pattern(100'000));
  EXPECT_TRUE(nothing_held());
  EXPECT_EQ(agent->status().metrics["results_published"], 1);
  EXPECT_TRUE(agent->status().connected);
}

TEST_F(AgentTest, AJobRunsInTheEnvironmentItAsksFor) {
  std::filesystem::create_directories(directory / "site/six");
  std::filesystem::create_directories(directory / "site/six-1.dist-info");
  const packaging::Lock lock{.python = "3.11", .platform = "linux_x86_64"};
  prepare = [&](const JobSpec& spec, const environment::OnProgress& on_progress,
                sandbox::Cancellation&) -> Result<environment::Environment> {
    on_progress("building 1 of 1");
    if (spec.requirements[0] == "away") return error(ErrorCode::kUnavailable, "no index");
    if (spec.requirements[0] == "wrong") {
      return error(ErrorCode::kInvalidArgument, "no package {}", std::string(2000, 'x'));
    }
    return environment::Environment(directory / "site", lock, nullptr);
  };
  start();
  const auto run = [&](uint8_t number, const char* requirement) {
    Lease made = lease(number, "out hello\n");
    made.spec.requirements = {requirement};
    coordinator->offer(made);
    return result_of(id(number));
  };
  AttemptResult result = run(1, "six");
  EXPECT_EQ(result.outcome, Outcome::kFinished);
  EXPECT_EQ(result.environment_lock, lock);
  EXPECT_EQ(coordinator->log_text(id(1)), "environment: building 1 of 1\nhello\n");
  ASSERT_EQ(box.tasks().size(), 1U);
  EXPECT_EQ(box.tasks()[0].overlay, directory / "site");
  EXPECT_EQ(box.tasks()[0].allowed_imports, (std::vector<std::string>{"six"}));
  result = run(2, "wrong");
  EXPECT_EQ(result.outcome, Outcome::kEnvironmentFailed);
  EXPECT_EQ(result.detail.size(), 1024U);
  EXPECT_GT(coordinator->log_text(id(2)).size(), 2000U);
  EXPECT_EQ(result.environment_lock, std::nullopt);
  result = run(3, "away");
  EXPECT_EQ(result.outcome, Outcome::kNodeFailure);
  EXPECT_EQ(result.detail, "no index");
  coordinator->offer(lease(4, "out hello\n"));
  EXPECT_EQ(result_of(id(4)).environment_lock, std::nullopt);
  EXPECT_EQ(box.tasks().size(), 2U);
}

TEST_F(AgentTest, AJobGetsItsSecretsInMemoryAlone) {
  start();
  const auto run = [&](uint8_t number) {
    Lease made = lease(number, "out hello\n");
    made.spec.secrets = {"TOKEN", "KEY"};
    coordinator->offer(made);
    return result_of(id(number));
  };
  const Secrets given{{"TOKEN", "hunter22"}, {"KEY", "4711"}};
  coordinator->give_secrets(given);
  EXPECT_EQ(run(1).outcome, Outcome::kFinished);
  ASSERT_EQ(box.tasks().size(), 1U);
  EXPECT_EQ(box.tasks()[0].secrets, given);
  coordinator->give_secrets({}, 412);
  AttemptResult result = run(2);
  EXPECT_EQ(result.outcome, Outcome::kEnvironmentFailed);
  EXPECT_FALSE(result.detail.empty());
  coordinator->give_secrets({}, 403);
  EXPECT_EQ(run(3).outcome, Outcome::kNodeFailure);
  coordinator->give_secrets({{"TOKEN", "hunter22"}});  // one is missing
  result = run(4);
  EXPECT_EQ(result.outcome, Outcome::kNodeFailure);
  EXPECT_EQ(result.detail.find("hunter22"), std::string::npos);
  coordinator->give_secrets({}, 503);
  Lease made = lease(5, "out hello\n");
  made.spec.secrets = {"TOKEN", "KEY"};
  coordinator->offer(made);
  std::this_thread::sleep_for(Millis(200));
  coordinator->give_secrets(given);  // it asked until there was an answer
  EXPECT_EQ(result_of(id(5)).outcome, Outcome::kFinished);
  EXPECT_EQ(box.tasks().size(), 2U);
}

TEST_F(AgentTest, TheLogSaysWhatIsMissingInIt) {
  start();
  coordinator->offer(lease(1, "out hello\ndropped 7\n"));
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.usage.output_bytes_dropped, 7);
  EXPECT_EQ(coordinator->log_text(id(1)),
            "hello\n7 bytes of output were dropped: the job's output_bytes_max is 10 MB\n");
}

TEST_F(AgentTest, TheSandboxIsToldWhatTheLeaseSays) {
  start();
  Lease sent = lease(1, "exit 0");
  sent.spec.filename = "train.py";
  sent.spec.arguments = {"--x"};
  sent.spec.environment = {{"A", "b"}};
  sent.spec.hardware = {
      .cpu_millicores = 500, .memory_bytes = 300'000'000, .disk_bytes = 5'000'000};
  sent.spec.timeout_s = 9;
  sent.spec.cpu_seconds_max = 8;
  sent.spec.processes_max = 7;
  sent.spec.output_bytes_max = 2'000'000;
  sent.spec.import_policy = "off";
  sent.spec.allowed_imports = {"ctypes"};
  coordinator->offer(sent);
  result_of(id(1));
  const sandbox::Task task = box.tasks().at(0);
  EXPECT_EQ(task.id, id(1).text());
  EXPECT_EQ(task.filename, "train.py");
  EXPECT_EQ(task.arguments, std::vector<std::string>{"--x"});
  EXPECT_EQ(task.environment.at(0).second, "b");
  EXPECT_FALSE(task.imports_restricted);
  EXPECT_EQ(task.allowed_imports, std::vector<std::string>{"ctypes"});
  EXPECT_EQ(task.limits.cpu_millicores, 500);
  EXPECT_EQ(task.limits.memory_bytes_max, 300'000'000);
  EXPECT_EQ(task.limits.disk_bytes_max, 5'000'000);
  EXPECT_EQ(task.limits.wall_ms_max, 9'000);
  EXPECT_EQ(task.limits.cpu_ms_max, 8'000);
  EXPECT_EQ(task.limits.processes_max, 7);
  EXPECT_EQ(task.limits.output_bytes_max, 2'000'000);
  EXPECT_EQ(task.limits.output_bytes_kill, 128'000'000);
}

TEST_F(AgentTest, ProgressAndLogComeWhileItRuns) {
  start();
  coordinator->offer(
      lease(1,
            "out early\nmessage {\"progress\":{\"fraction\":0.5,\"message\":\"half\"}}"
            "\nmessage {\"metric\":{\"name\":\"loss\",\"value\":0.25}}\ngate"));
  EXPECT_TRUE(coordinator->wait([&] {
    return coordinator->log_text(id(1)) == "early\n" && coordinator->look([](const auto& state) {
      return !state.heartbeats.empty() && !state.heartbeats.back().attempts.empty() &&
             state.heartbeats.back().attempts[0].state == AttemptState::kRunning &&
             state.heartbeats.back().attempts[0].progress.fraction == 0.5 &&
             state.heartbeats.back().attempts[0].progress.metrics.contains("loss");
    });
  }));
  EXPECT_EQ(agent->status().running, 1);
  EXPECT_EQ(coordinator->results_of(id(1)), 0U);
  box.open_gate();
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kFinished);
}

TEST_F(AgentTest, CancelEndsTheAttempt) {
  start();
  coordinator->offer(lease(1, "gate"));
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 1; }));
  coordinator->set_action(id(1), LeaseAction::kCancel);
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kCancelled);
  EXPECT_TRUE(nothing_held());
}

TEST_F(AgentTest, AFencedAttemptIsEndedAndItsResultIsNotKept) {
  start();
  coordinator->offer(lease(1, "out x\ngate\nout never"));
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 1; }));
  coordinator->fence(id(1));
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kCancelled);
  EXPECT_TRUE(nothing_held());
  EXPECT_EQ(agent->status().metrics["results_fenced"], 1);
}

TEST_F(AgentTest, WithoutTheCoordinatorItEndsBeforeTheLeaseIsLost) {
  start();
  Lease sent = lease(1, "gate");
  sent.lost_after_ms = kKillMargin.count() + 1'500;
  coordinator->offer(sent);
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 1; }));
  // Heartbeats keep it alive for longer than the lease alone would.
  const size_t before = coordinator->look([](const auto& s) { return s.heartbeats.size(); });
  ASSERT_TRUE(coordinator->wait([&] {
    return coordinator->look([](const auto& s) { return s.heartbeats.size(); }) > before + 10;
  }));
  EXPECT_EQ(agent->status().running, 1);
  coordinator->down();
  EXPECT_TRUE(coordinator->wait([&] { return agent->status().running == 0; }));
  EXPECT_FALSE(agent->status().connected);
  coordinator->up();
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.outcome, Outcome::kNodeFailure);
  EXPECT_NE(result.detail.find("could not reach the coordinator"), std::string::npos);
}

TEST_F(AgentTest, AnOutageCostsNothing) {
  start();
  coordinator->offer(lease(1, "out before\ngate\nout after\nartifact a.bin 5000\nexit 0"));
  ASSERT_TRUE(coordinator->wait([&] { return coordinator->log_text(id(1)) == "before\n"; }));
  coordinator->down();
  box.open_gate();
  const auto result_file = directory / "data/attempts" / id(1).text() / "result.json";
  ASSERT_TRUE(coordinator->wait([&] { return std::filesystem::exists(result_file); }));
  EXPECT_EQ(coordinator->results_of(id(1)), 0U);
  coordinator->up();
  EXPECT_EQ(result_of(id(1)).artifacts.size(), 1U);
  EXPECT_EQ(coordinator->log_text(id(1)), "before\nafter\n");
  EXPECT_TRUE(nothing_held());
  EXPECT_GE(agent->status().metrics["coordinator_outages"], 1);
  // And it takes work again.
  coordinator->offer(lease(2, "out two"));
  result_of(id(2));
}

TEST_F(AgentTest, ASpooledResultIsSentAfterARestart) {
  start();
  coordinator->offer(lease(1, "out text\ngate\nartifact a.bin 5000\nexit 5"));
  ASSERT_TRUE(coordinator->wait([&] { return coordinator->log_text(id(1)) == "text\n"; }));
  coordinator->down();
  box.open_gate();
  const auto result_file = directory / "data/attempts" / id(1).text() / "result.json";
  ASSERT_TRUE(coordinator->wait([&] { return std::filesystem::exists(result_file); }));
  agent.reset();
  ASSERT_TRUE(std::filesystem::exists(result_file));
  coordinator->up();
  start();
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.artifacts.size(), 1U);
  EXPECT_EQ(coordinator->log_text(id(1)), "text\n");
  EXPECT_TRUE(nothing_held());
}

TEST_F(AgentTest, AnAttemptThatAKilledNodeLeftIsReportedAtOnce) {
  {
    Result<Spool> spool = Spool::open(directory / "data/attempts");
    ASSERT_TRUE(spool);
    auto left = spool->create(lease(1, "gate"));
    ASSERT_TRUE(left);
    ASSERT_TRUE((*left)->append_log(LogStream::kStdout, {1}, "half\n"));
    ASSERT_TRUE((*left)->flush_log());
  }
  start();
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.outcome, Outcome::kNodeFailure);
  EXPECT_EQ(result.detail, "the node was restarted");
  EXPECT_EQ(coordinator->log_text(id(1)), "half\nThe node was restarted.\n");
  EXPECT_EQ(box.started(), 0);
  EXPECT_TRUE(nothing_held());
  // It told of it in its heartbeats until it was settled.
  EXPECT_TRUE(coordinator->look([](const auto& state) {
    return state.heartbeats.empty() || state.heartbeats[0].attempts.empty() ||
           state.heartbeats[0].attempts[0].state == AttemptState::kUploading;
  }));
}

TEST_F(AgentTest, AnUploadGoesOnWhereItBroke) {
  start();
  constexpr int64_t kBytes = 20'000'000;
  coordinator->offer(lease(1, "gate\nartifact big.bin 20000000"));
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 1; }));
  box.open_gate();
  ASSERT_TRUE(coordinator->wait([&] {
    return coordinator->look([](const auto& s) { return s.artifact_bytes_received > 0; });
  }));
  coordinator->fail_next_puts(1, 503);
  const AttemptResult result = result_of(id(1));
  ASSERT_EQ(result.artifacts.size(), 1U);
  EXPECT_EQ(coordinator->look(
                [&](const auto& state) { return state.artifacts.at(result.artifacts[0].sha256); }),
            pattern(kBytes));
  EXPECT_EQ(coordinator->look([](const auto& s) { return s.artifact_bytes_received; }), kBytes);
}

TEST_F(AgentTest, AnArtifactThatIsRefusedIsLeftOutByName) {
  start();
  coordinator->fail_next_puts(1, 413);
  coordinator->offer(lease(1, "artifact a.bin 10\nartifact b.bin 20"));
  const AttemptResult result = result_of(id(1));
  ASSERT_EQ(result.artifacts.size(), 1U);
  EXPECT_EQ(result.artifacts[0].name, "b.bin");
  ASSERT_EQ(result.left_out.size(), 1U);
  EXPECT_EQ(result.left_out[0].name, "a.bin");
}

TEST_F(AgentTest, WhatTheCoordinatorLostIsSentAgain) {
  start();
  coordinator->offer(lease(1, "out one\nout two\ngate\nout three\nartifact a.bin 10"));
  ASSERT_TRUE(coordinator->wait([&] { return coordinator->log_text(id(1)) == "one\ntwo\n"; }));
  coordinator->truncate_log(id(1), 0);
  box.open_gate();
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(coordinator->log_text(id(1)), "one\ntwo\nthree\n");
  EXPECT_EQ(result.artifacts.size(), 1U);
}

TEST_F(AgentTest, AnEndedSessionIsRenewed) {
  start();
  coordinator->offer(lease(1, "gate"));
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 1; }));
  coordinator->forget_session();
  box.open_gate();
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kFinished);
  EXPECT_EQ(coordinator->look([](const auto& s) { return s.registrations.size(); }), 2U);
}

TEST_F(AgentTest, AWrongKeyIsSaidAtOnce) {
  identity = SigningKey::from_seed(std::array<uint8_t, 32>{9});
  AgentOptions options;
  options.link = {.dial = dial_endpoint(coordinator->endpoint(), ""),
                  .key = "bcai_wrong",
                  .name = "test",
                  .identity = identity,
                  .capabilities = {}};
  options.data_directory = directory / "data";
  Result<std::unique_ptr<Agent>> made = Agent::start(std::move(options));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kPermissionDenied);
}

TEST_F(AgentTest, StartsWithoutTheCoordinatorAndConnectsLater) {
  coordinator->down();
  start();
  EXPECT_FALSE(agent->status().connected);
  coordinator->up();
  coordinator->offer(lease(1, "out x"));
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kFinished);
  EXPECT_TRUE(agent->status().connected);
}

TEST_F(AgentTest, InputFilesAreFetchedOnceAndVerified) {
  start();
  const std::string bytes = pattern(50'000);
  coordinator->put_artifact(bytes);
  Lease sent = lease(1, "exit 0");
  sent.spec.files = {{"data/a.csv", Sha256::of(bytes), 50'000}};
  coordinator->offer(sent);
  EXPECT_EQ(result_of(id(1)).outcome, Outcome::kFinished);
  const sandbox::InputFile file = box.tasks().at(0).files.at(0);
  EXPECT_EQ(file.path, "data/a.csv");
  EXPECT_EQ(*read_file(file.source), bytes);
  sent.attempt = id(2);
  coordinator->offer(sent);
  EXPECT_EQ(result_of(id(2)).outcome, Outcome::kFinished);
  EXPECT_EQ(coordinator->look([](const auto& s) { return s.gets; }), 1);

  sent.attempt = id(3);
  sent.spec.files = {{"b.csv", Sha256::of("not there"), 9}};
  coordinator->offer(sent);
  const AttemptResult absent = result_of(id(3));
  EXPECT_EQ(absent.outcome, Outcome::kNodeFailure);
  EXPECT_NE(absent.detail.find("b.csv"), std::string::npos);
  EXPECT_EQ(box.started(), 2);
}

TEST_F(AgentTest, StoppingEndsWhatRunsAndTellsOfIt) {
  start();
  coordinator->offer(lease(1, "out x\ngate"));
  ASSERT_TRUE(coordinator->wait([&] { return coordinator->log_text(id(1)) == "x\n"; }));
  agent->stop();
  const AttemptResult result = result_of(id(1));
  EXPECT_EQ(result.outcome, Outcome::kNodeFailure);
  EXPECT_EQ(result.detail, "the node was stopped");
  EXPECT_TRUE(std::filesystem::is_empty(directory / "data/attempts"));
}

TEST_F(AgentTest, ALeaseThatComesTwiceRunsOnce) {
  start();
  coordinator->offer(lease(1, "gate"));
  coordinator->offer(lease(1, "gate"));
  coordinator->offer(lease(2, "gate"));
  ASSERT_TRUE(coordinator->wait([&] { return box.started() == 2; }));
  box.open_gate();
  result_of(id(1));
  result_of(id(2));
  EXPECT_EQ(box.started(), 2);
  EXPECT_EQ(coordinator->results_of(id(1)), 1U);
}

// The poll under way told of one free core; when the other comes free, a job for two may come.
TEST_F(AgentTest, FreedCapacityIsToldWithoutWaitingForThePollToEnd) {
  start(2);
  coordinator->offer(lease(1, "gate"));
  ASSERT_TRUE(coordinator->wait([&] {
    return box.started() == 1 &&
           coordinator->look([](const auto& s) { return s.polls.back().slots == 1; });
  }));
  Lease wide = lease(2, "exit 0");
  wide.spec.hardware.cpu_millicores = 2000;
  coordinator->offer(wide);
  EXPECT_EQ(coordinator->results_of(id(2)), 0U);
  box.open_gate();
  result_of(id(2));
}

TEST_F(AgentTest, ManyShortJobsEachEndOnce) {
  start(4);
  for (uint8_t i = 1; i <= 200; ++i) coordinator->offer(lease(i, "out x\nartifact a.bin 10"));
  for (uint8_t i = 1; i <= 200; ++i) result_of(id(i));
  EXPECT_TRUE(nothing_held());
  for (uint8_t i = 1; i <= 200; ++i) EXPECT_EQ(coordinator->results_of(id(i)), 1U);
  EXPECT_EQ(agent->status().metrics["leases_taken"], 200);
}

TEST_F(AgentTest, StatusIsWrittenForOthersToRead) {
  start();
  ASSERT_TRUE(
      coordinator->wait([&] { return std::filesystem::exists(directory / "data/status.json"); }));
  Result<std::string> text = read_file(directory / "data/status.json");
  ASSERT_TRUE(text);
  Result<json::value> status = parse_json(*text);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->at("node_id").as_string(), "node_1");
  EXPECT_TRUE(status->at("metrics").as_object().contains("leases_taken"));
}

TEST(Backoff, GrowsToItsLimitAndHonoursWhatWasAsked) {
  SeededRandom random(1);
  Backoff backoff(Millis(100), Millis(1'000));
  Millis longest(0);
  for (int i = 0; i < 50; ++i) {
    const Millis pause = backoff.next(random);
    EXPECT_GE(pause, Millis(50));
    EXPECT_LE(pause, Millis(1'000));
    longest = std::max(longest, pause);
  }
  EXPECT_GT(longest, Millis(500));
  EXPECT_EQ(backoff.next(random, Millis(7'000)), Millis(7'000));
  EXPECT_EQ(backoff.next(random, Millis(7'000'000)), Millis(300'000));
  backoff.reset();
  EXPECT_LE(backoff.next(random), Millis(100));
}

TEST(Answer, SaysWhetherAskingAgainHelps) {
  Answer answer;
  EXPECT_TRUE(answer.passing());
  for (int status : {401, 408, 429, 500, 503}) {
    answer.status = status;
    EXPECT_TRUE(answer.passing()) << status;
  }
  for (int status : {200, 400, 403, 404, 409, 412, 413}) {
    answer.status = status;
    EXPECT_FALSE(answer.passing()) << status;
  }
  answer.response.headers = {{"retry-after", "7"}};
  EXPECT_EQ(answer.retry_after(), Millis(7'000));
  answer.response.headers = {{"retry-after", "Wed, 21 Oct"}};
  EXPECT_EQ(answer.retry_after(), Millis(0));
  answer.response.body = R"({"offset":12})";
  EXPECT_EQ(answer.number("offset"), 12);
  EXPECT_EQ(answer.number("other"), -1);
}

}  // namespace
}  // namespace bcai::node
