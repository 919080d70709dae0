// SPDX-License-Identifier: Apache-2.0
// The subcommands that read and change what is there, against a coordinator on a socket.
#include "base/file.h"
#include "cli/fake_coordinator_test.h"

namespace bcai::cli {
namespace {

std::string job_url() { return std::string("GET /v1/jobs/") + kFakeJobId; }

json::object list_of(json::value job) {
  return {{"jobs", json::array{std::move(job)}}, {"next", nullptr}};
}

TEST_F(CommandTest, JobsAreATable) {
  coordinator.answer("GET /v1/jobs", list_of(fake_job("succeeded")));
  EXPECT_EQ(run(JobsOptions{}), 0);
  EXPECT_NE(out.find("ID "), std::string::npos);
  EXPECT_NE(out.find(std::string(kFakeJobId) + "  train  succeeded"), std::string::npos) << out;
  EXPECT_NE(out.find("1.5 s"), std::string::npos) << out;
  EXPECT_EQ(err, "");
}

TEST_F(CommandTest, JobsAsJsonAreOneDocument) {
  coordinator.answer("GET /v1/jobs", list_of(fake_job("queued")));
  EXPECT_EQ(run(JobsOptions{.json = true}), 0);
  const Result<json::value> document = parse_json(out);
  ASSERT_TRUE(document) << out;
  EXPECT_EQ(document->at("jobs").at(0).at("state"), "queued");
}

TEST_F(CommandTest, TheKeyIsSent) {
  coordinator.answer("GET /v1/jobs", list_of(fake_job("queued")));
  run(JobsOptions{.state = "queued"});
  ASSERT_EQ(coordinator.requests.size(), 1U);
  EXPECT_EQ(coordinator.requests[0].header("authorization"), "Bearer bcai_k_s");
  EXPECT_EQ(coordinator.requests[0].query["state"], "queued");
}

TEST_F(CommandTest, TheFilesKeyIsNotToldToAnotherEndpoint) {
  coordinator.answer("GET /v1/jobs", list_of(fake_job("queued")));
  write(".config/bcai/config.yaml", "endpoint: http://elsewhere\napi_key: bcai_secret_s\n");
  environment["BCAI_ENDPOINT"] = coordinator.endpoint();
  Result<Settings> settings = Settings::load(environment, 1000);
  ASSERT_TRUE(settings);
  Context context{.environment = environment,
                  .settings = *settings,
                  .screen = screen,
                  .clock = clock,
                  .random = random,
                  .interrupts = interrupts};
  EXPECT_EQ(execute(JobsOptions{}, context), 0);
  EXPECT_EQ(coordinator.requests[0].header("authorization"), "");
}

TEST_F(CommandTest, ExitCodesTellHowItWent) {
  EXPECT_EQ(run(ShowOptions{.job = kFakeJobId}), 2);
  EXPECT_EQ(err.find("error: "), 0U) << err;
  coordinator.answer(job_url(), fake_job("failed", "finished"));
  EXPECT_EQ(run(WaitOptions{.job = kFakeJobId}), 1);
  coordinator.answer(job_url(), fake_job("succeeded"));
  EXPECT_EQ(run(WaitOptions{.job = kFakeJobId}), 0);
  coordinator.answer(job_url(), fake_job("active"));
  EXPECT_EQ(run(WaitOptions{.job = kFakeJobId, .timeout = Millis(1)}), 3);
}

TEST_F(CommandTest, ACoordinatorThatIsNotThereIsUnreachable) {
  Result<Settings> settings = Settings::load(environment, 1000);
  Context context{.environment = environment,
                  .settings = *settings,
                  .screen = screen,
                  .clock = clock,
                  .random = random,
                  .interrupts = interrupts};
  JobsOptions options;
  options.connection.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(execute(options, context), 3);
  EXPECT_NE(err.find("cannot reach http://127.0.0.1:1"), std::string::npos) << err;
}

TEST_F(CommandTest, ShowTellsReasonAttemptsAndEvents) {
  json::object job = fake_job("failed", "finished");
  job["reason"] = "the job raised ValueError";
  job["attempts"] = json::array{json::object{
      {"id", "att_1"}, {"node_name", "bench"}, {"state", "failed"}, {"reason", "exit code 1"}}};
  coordinator.answer(job_url(), job);
  coordinator.answer(
      job_url() + "/events",
      json::object{{"events", json::array{json::object{{"sequence", 1},
                                                       {"time", "2026-01-31T09:05:07.123Z"},
                                                       {"kind", "job.queued"},
                                                       {"actor", "user"},
                                                       {"reason", "no node\033[2J yet"}}}}});
  EXPECT_EQ(run(ShowOptions{.job = kFakeJobId}), 0);
  for (const char* part : {"the job raised ValueError", "ValueError: too large", "att_1", "bench",
                           "09:05:07.123", "job.queued", "no node?[2J yet"}) {
    EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
  }
}

TEST_F(CommandTest, LastIsTheNewestOfOnesOwn) {
  json::object other = fake_job("active");
  other["id"] = "job_other";
  other["owner"] = "key_other";
  coordinator.answer("GET /v1/whoami", json::object{{"key_id", "key_me"}});
  coordinator.answer(
      "GET /v1/jobs",
      json::object{{"jobs", json::array{other, fake_job("succeeded")}}, {"next", nullptr}});
  coordinator.answer(job_url(), fake_job("succeeded"));
  EXPECT_EQ(run(WaitOptions{.job = "last"}), 0);
  EXPECT_NE(err.find(kFakeJobId), std::string::npos) << err;
}

TEST_F(CommandTest, LogsKeepTheStreamsApart) {
  const auto record = [](const char* stream, const char* text) {
    return json::object{{"offset", 0}, {"stream", stream}, {"time", ""}, {"text", text}};
  };
  coordinator.answer(
      job_url() + "/logs",
      json::object{
          {"attempt_id", "att_1"},
          {"records", json::array{record("stdout", "one\ntw"), record("stderr", "bad\n"),
                                  record("stdout", "o\n"), record("system", "truncated 5 bytes")}},
          {"next_offset", 0},
          {"end", true}});
  EXPECT_EQ(run(LogsOptions{.job = kFakeJobId}), 0);
  EXPECT_EQ(out, "one\ntwo\n");
  EXPECT_EQ(err, "bad\ntruncated 5 bytes\n");
}

TEST_F(CommandTest, ResultsPrintOutputsAndDownloadArtifacts) {
  const std::string bytes = "the weights";
  const Sha256 digest = Sha256::of(bytes);
  coordinator.artifacts[digest.text()] = bytes;
  json::object results{
      {"outputs", json::object{{"loss", 0.25},
                               {"more", json::object{{"a", json::array{1, 2.5e-3}}}},
                               {"name", "a\033b"}}},
      {"tensors",
       json::array{json::object{{"name", "w"}, {"dtype", "F32"}, {"shape", json::array{2, 3}}}}},
      {"left_out", json::array{json::object{{"name", "model"}, {"reason", "not carried"}}}},
      {"artifacts",
       json::array{json::object{
           {"name", "sub/w.pt"}, {"sha256", digest.text()}, {"bytes", bytes.size()}}}}};
  coordinator.answer(job_url() + "/results", results);
  EXPECT_EQ(
      run(ResultsOptions{.job = kFakeJobId, .output_directory = (directory / "out").string()}), 0);
  EXPECT_NE(out.find("loss = 0.25\n"), std::string::npos) << out;
  EXPECT_NE(out.find("more = {\"a\": [1, 0.0025]}\n"), std::string::npos) << out;
  EXPECT_NE(out.find("w = tensor F32 [2, 3]"), std::string::npos) << out;
  EXPECT_EQ(out.find('\033'), std::string::npos);
  EXPECT_NE(err.find("left out model: not carried"), std::string::npos) << err;
  EXPECT_EQ(*read_file(directory / "out/sub/w.pt"), bytes);
}

TEST_F(CommandTest, DownloadsResumeAndAreChecked) {
  const std::string bytes = "0123456789";
  const Sha256 digest = Sha256::of(bytes);
  coordinator.artifacts[digest.text()] = bytes;
  const json::object results{
      {"artifacts", json::array{json::object{
                        {"name", "w"}, {"sha256", digest.text()}, {"bytes", bytes.size()}}}}};
  coordinator.answer(job_url() + "/results", results);
  const ResultsOptions options{
      .job = kFakeJobId, .output_directory = directory.string(), .json = true};
  write("w." + digest.text().substr(0, 8) + ".part", "01234");
  EXPECT_EQ(run(options), 0);
  EXPECT_EQ(coordinator.requests.back().header("range"), "bytes=5-");
  EXPECT_EQ(*read_file(directory / "w"), bytes);

  coordinator.artifacts[digest.text()] = "0123456780";
  std::filesystem::remove(directory / "w");
  EXPECT_EQ(run(options), 1);
  EXPECT_FALSE(std::filesystem::exists(directory / "w"));
  EXPECT_NE(err.find("are not those of"), std::string::npos) << err;
}

TEST_F(CommandTest, ArtifactNamesMayNotLeaveTheDirectory) {
  for (const char* name : {"../x", "/etc/x", "a/../../x", "a//b", ""}) {
    coordinator.answer(
        job_url() + "/results",
        json::object{
            {"artifacts", json::array{json::object{
                              {"name", name}, {"sha256", std::string(64, '0')}, {"bytes", 1}}}}});
    EXPECT_EQ(run(ResultsOptions{.job = kFakeJobId, .output_directory = directory.string()}), 1)
        << name;
  }
  EXPECT_TRUE(coordinator.targets("GET").size() == 5U);
}

TEST_F(CommandTest, CancelSaysWhatBecameOfIt) {
  json::object job = fake_job("active");
  job["desired"] = "cancel";
  coordinator.answer(std::string("POST /v1/jobs/") + kFakeJobId + "/cancel", job, 202);
  EXPECT_EQ(run(CancelOptions{.job = kFakeJobId}), 0);
  EXPECT_NE(err.find("is being cancelled"), std::string::npos) << err;
  coordinator.answer(job_url(), fake_job("cancelled"));
  err.clear();
  EXPECT_EQ(run(CancelOptions{.job = kFakeJobId, .wait = true}), 0);
  EXPECT_NE(err.find("is cancelled"), std::string::npos) << err;
}

TEST_F(CommandTest, KeysAreShownOnce) {
  coordinator.answer("POST /v1/keys", json::object{{"id", "key_1"}, {"key", "bcai_a_b"}}, 201);
  EXPECT_EQ(run(KeysOptions{.verb = KeysOptions::Verb::kCreate, .name = "n", .role = "member"}), 0);
  EXPECT_EQ(out, "bcai_a_b\n");
  const json::value body = coordinator.body_of("POST", "/v1/keys");
  EXPECT_EQ(body.at("role"), "member");
}

TEST_F(CommandTest, NodesAreATable) {
  coordinator.answer(
      "GET /v1/nodes",
      json::object{{"nodes", json::array{json::object{
                                 {"id", "node_1"},
                                 {"name", "bench"},
                                 {"state", "online"},
                                 {"last_seen", "2026-01-31T09:05:07.123Z"},
                                 {"running", 1},
                                 {"capabilities", json::object{{"cpu_millicores", 1500},
                                                               {"memory_bytes", 8'000'000'000},
                                                               {"slots", 2},
                                                               {"gpus", json::array()}}}}}}});
  EXPECT_EQ(run(NodesOptions{}), 0);
  for (const char* part : {"node_1", "1 of 2", "1.5", "8 GB"}) {
    EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
  }
}

TEST_F(CommandTest, NodeStatusReadsTheNodesFile) {
  const NodeStatusOptions options{.data_directory = directory.string()};
  EXPECT_EQ(run(options), 3);
  write("status.json", R"({"node_id": "node_1", "connected": true, "running": 1,
      "capabilities": {"slots": 2, "self_test": [{"name": "memory", "holds": false,
      "detail": "no cgroup"}]}, "metrics": {"heartbeats": 3.0}})");
  EXPECT_EQ(run(options), 0);
  EXPECT_NE(out.find("running     1 of 2"), std::string::npos) << out;
  EXPECT_NE(out.find("FAILS memory: no cgroup"), std::string::npos) << out;
  EXPECT_EQ(out.find("heartbeats"), std::string::npos);
  out.clear();
  EXPECT_EQ(run(NodeStatusOptions{.data_directory = directory.string(), .metrics = true}), 0);
  EXPECT_NE(out.find("heartbeats  3"), std::string::npos) << out;
  write("status.json", "{");
  EXPECT_EQ(run(options), 1);
}

TEST_F(CommandTest, NodeStatusFindsTheNodeOfUp) {
  const NodeStatusOptions options{.data_directory = directory.string()};
  EXPECT_EQ(run(options), 3);
  EXPECT_NE(err.find("--data-dir DIR"), std::string::npos) << err;
  std::filesystem::create_directory(directory / "node");
  write("node/status.json", R"({"node_id": "node_of_up"})");
  EXPECT_EQ(run(options), 0);
  EXPECT_NE(out.find("node_of_up"), std::string::npos) << out;
}

TEST_F(CommandTest, ConfigSetsAndHidesTheKey) {
  EXPECT_EQ(run(ConfigOptions{
                .verb = ConfigOptions::Verb::kSet, .key = "api_key", .value = "bcai_id_secret"}),
            0);
  EXPECT_EQ(run(ConfigOptions{}), 0);
  EXPECT_EQ(out.find("secret"), std::string::npos) << out;
  EXPECT_NE(out.find("bcai_id_…"), std::string::npos) << out;
  out.clear();
  EXPECT_EQ(run(ConfigOptions{.verb = ConfigOptions::Verb::kGet, .key = "api_key"}), 0);
  EXPECT_EQ(out, "bcai_id_secret\n");
  EXPECT_EQ(run(ConfigOptions{.verb = ConfigOptions::Verb::kGet, .key = "apikey"}), 2);
}

TEST_F(CommandTest, CreateProjectRefusesWhatIsThere) {
  const std::string name = (directory / "my app").string();
  EXPECT_EQ(run(CreateProjectOptions{.name = name}), 0);
  const Result<std::string> readme = read_file(directory / "my app/README.md");
  ASSERT_TRUE(readme);
  EXPECT_EQ(readme->find("# my app\n"), 0U);
  EXPECT_TRUE(std::filesystem::exists(directory / "my app/train.py"));
  EXPECT_EQ(run(CreateProjectOptions{.name = name}), 2);
}

TEST_F(CommandTest, CompletionScriptsAreShell) {
  EXPECT_EQ(run(CompletionOptions{.shell = "bash"}), 0);
  const std::filesystem::path script = write("completion.bash", out);
  EXPECT_EQ(std::system(("bash -n " + script.string()).c_str()), 0);
  for (const char* shell : {"zsh", "fish"}) {
    out.clear();
    EXPECT_EQ(run(CompletionOptions{.shell = shell}), 0);
    EXPECT_NE(out.find("bcai __complete"), std::string::npos) << shell;
  }
}

}  // namespace
}  // namespace bcai::cli
