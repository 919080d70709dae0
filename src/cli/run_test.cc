// SPDX-License-Identifier: Apache-2.0
// `bcai run` and `bcai logs -f`: submission, following, interruption.
#include <thread>

#include "base/crypto.h"
#include "base/file.h"
#include "cli/fake_coordinator_test.h"
#include "cli/job_request.h"

namespace bcai::cli {
namespace {

std::string job_path() { return std::string("/v1/jobs/") + kFakeJobId; }

StreamScript::Event log_event(int number, const char* stream, const char* text) {
  return {.id = fmt::format("att_1:{}", number),
          .event = "log",
          .data = to_text(json::object{
              {"stream", stream}, {"time", ""}, {"text", text}, {"attempt_id", "att_1"}})};
}
StreamScript::Event job_event(const char* event, const json::object& job) {
  return {.id = "", .event = event, .data = to_text(job)};
}

class RunTest : public CommandTest {
 protected:
  RunTest() {
    coordinator.answer("POST /v1/jobs", fake_job("queued"), 202);
    coordinator.answer("GET " + job_path(), fake_job("active"));
    coordinator.answer("GET " + job_path() + "/results",
                       encode_problem(error(ErrorCode::kFailedPrecondition, "no result yet")), 412);
  }
  RunOptions code(const char* text) {
    RunOptions options;
    options.job.code = text;
    return options;
  }
};

TEST_F(RunTest, OutputIsTheJobsAndNothingElse) {
  coordinator.streams = {
      {.events = {job_event("job", fake_job("active")),
                  log_event(1, "stdout", "loss 0.5\nno newline"),
                  log_event(2, "stderr", "warning\n"), job_event("end", fake_job("succeeded"))}}};
  EXPECT_EQ(run(code("print(1)")), 0);
  EXPECT_EQ(out, "loss 0.5\nno newline");
  EXPECT_EQ(err.find("warning\n"), 0U) << err;
  EXPECT_NE(err.find(std::string(kFakeJobId) + " succeeded after 1.5 s"), std::string::npos) << err;
}

TEST_F(RunTest, BytesThatAreNoTextComeOutAsTheyWereWritten) {
  const std::string all("a\0\xFF\x80\n", 5);
  const StreamScript::Event raw = {
      .id = "att_1:1",
      .event = "log",
      .data = to_text(json::object{{"stream", "stdout"},
                                   {"time", ""},
                                   {"text", std::string("a\0\uFFFD\uFFFD\n", 9)},
                                   {"bytes", to_base64(all)},
                                   {"attempt_id", "att_1"}})};
  coordinator.streams = {{.events = {raw, job_event("end", fake_job("succeeded"))}}};
  EXPECT_EQ(run(code("print(1)")), 0);
  EXPECT_EQ(out, all);
  out.clear();
  RunOptions json = code("print(1)");
  json.job.json = true;
  coordinator.streams = {{.events = {raw, job_event("end", fake_job("succeeded"))}}};
  EXPECT_EQ(run(json), 0);
  EXPECT_NE(out.find(R"("bytes":"YQD/gAo=")"), std::string::npos) << out;
}

TEST_F(RunTest, QuietKeepsQuiet) {
  coordinator.streams = {
      {.events = {log_event(1, "stderr", "theirs\n"), log_event(2, "system", "ours"),
                  job_event("end", fake_job("succeeded"))}}};
  RunOptions options = code("pass");
  options.quiet = true;
  EXPECT_EQ(run(options), 0);
  EXPECT_EQ(err, "theirs\n");
}

TEST_F(RunTest, AFailedJobIsExitCode1WithItsError) {
  coordinator.streams = {{.events = {job_event("end", fake_job("failed", "finished"))}}};
  EXPECT_EQ(run(code("raise ValueError")), 1);
  EXPECT_NE(err.find("failed after 1.5 s: ValueError: too large"), std::string::npos) << err;
}

TEST_F(RunTest, WhatWasLeftOutIsSaidToWhomAsksForFiles) {
  coordinator.answer(
      "GET " + job_path() + "/results",
      json::object{{"artifacts", json::array{}},
                   {"left_out", json::array{json::object{{"name", "outputs/big.pt"},
                                                         {"reason", "larger than\nallowed"}}}}});
  const std::string said = "left out outputs/big.pt: larger than allowed\n";
  for (const bool outputs : {false, true}) {
    for (const char* to : {"", "files"}) {
      coordinator.streams = {{.events = {job_event("end", fake_job("succeeded"))}}};
      RunOptions options = code("pass");
      options.show_outputs = outputs;
      if (*to != '\0') options.output_directory = (directory / to).string();
      err.clear();
      EXPECT_EQ(run(options), 0);
      const size_t at = err.find(said);
      EXPECT_EQ(at != std::string::npos, outputs || *to != '\0') << err;
      EXPECT_EQ(err.rfind(said), at) << "once";
    }
  }
}

TEST_F(RunTest, ABrokenStreamGoesOnWhereItStopped) {
  coordinator.streams = {
      {.events = {log_event(1, "stdout", "a"), log_event(2, "stdout", "b")}},
      {.events = {log_event(3, "stdout", "c"), job_event("end", fake_job("succeeded"))}}};
  EXPECT_EQ(run(code("pass")), 0);
  EXPECT_EQ(out, "abc");
  EXPECT_EQ(coordinator.last_event_ids, (std::vector<std::string>{"", "att_1:2"}));
}

TEST_F(RunTest, TheRequestHoldsWhatWasAskedFor) {
  coordinator.streams = {{.events = {job_event("end", fake_job("succeeded"))}}};
  RunOptions options;
  options.job.file = write("dir/train.py", "print('ä')\n").string();
  options.job.arguments = {"--epochs", "3"};
  options.job.memory = "4GB";
  options.job.gpu_count = 1;
  options.job.timeout = Millis(90'500);
  options.job.max_retries = 0;
  options.job.environment = {{"A", "1"}};
  options.job.allowed_imports = {"ctypes"};
  EXPECT_EQ(run(options), 0);
  const json::value body = coordinator.body_of("POST", "/v1/jobs");
  EXPECT_EQ(body.at("filename"), "train.py");
  EXPECT_EQ(body.at("code"), "print('ä')\n");
  EXPECT_EQ(body.at("arguments"), (json::array{"--epochs", "3"}));
  EXPECT_EQ(body.at("hardware"), (json::object{{"memory", "4GB"}, {"gpu_count", 1}}));
  EXPECT_EQ(body.at("timeout"), 91);
  EXPECT_EQ(body.at("max_retries"), 0);
  EXPECT_EQ(body.at("environment"), (json::object{{"A", "1"}}));
  EXPECT_FALSE(body.as_object().contains("name"));
  std::vector<Finding> findings;
  decode_job_spec(body, &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
}

TEST_F(RunTest, RefusedCodeIsShownWithACaret) {
  const Finding finding{
      .pointer = "/code", .message = "import of 'ctypes' is not allowed", .line = 2, .column = 8};
  coordinator.answer(
      "POST /v1/jobs",
      encode_problem(error(ErrorCode::kInvalidArgument, "the job has 1 error"), {finding}), 400);
  RunOptions options;
  options.job.file = write("train.py", "import os\nimport ctypes\n").string();
  EXPECT_EQ(run(options), 2);
  EXPECT_NE(
      err.find(
          "train.py:2:8: import of 'ctypes' is not allowed\n    import ctypes\n           ^\n"),
      std::string::npos)
      << err;
  EXPECT_EQ(out, "");
  options.job.json = true;
  EXPECT_EQ(run(options), 2);
  const Result<json::value> line = parse_json(out);
  ASSERT_TRUE(line) << out;
  EXPECT_EQ(line->at("event"), "refused");
  EXPECT_EQ(line->at("errors").at(0).at("column"), 8);
}

TEST_F(RunTest, CodeThatIsNotUtf8NeverLeaves) {
  RunOptions options;
  options.job.file = write("latin.py", "x = '\xE4'\n").string();
  EXPECT_EQ(run(options), 2);
  EXPECT_NE(err.find("latin.py:1: not UTF-8: byte 0xe4 at offset 5"), std::string::npos) << err;
  EXPECT_TRUE(coordinator.requests.empty());
  options.job.file = (directory / "absent.py").string();
  EXPECT_EQ(run(options), 2);
}

TEST_F(RunTest, ADirectoryThatHoldsTheProgramSendsItOnce) {
  coordinator.streams = {{.events = {job_event("end", fake_job("succeeded"))}}};
  RunOptions options;
  options.job.file = write("app/train.py", "print(1)\n").string();
  write("app/helper.py", "A = 1\n");
  options.job.files = {(directory / "app").string() + ":."};
  EXPECT_EQ(run(options), 0) << err;
  const json::value body = coordinator.body_of("POST", "/v1/jobs");
  ASSERT_EQ(body.at("files").as_array().size(), 1U);
  EXPECT_EQ(body.at("files").at(0).at("path"), "helper.py");
}

TEST_F(RunTest, FilesAreUploadedByDigestAndResume) {
  coordinator.streams = {{.events = {job_event("end", fake_job("succeeded"))}}};
  const std::string large((8 << 20) + 1000, 'x');
  const std::string digest = Sha256::of(large).text();
  RunOptions options = code("pass");
  options.job.files = {write("data.bin", large).string() + ":in/data.bin",
                       write("lib/a.py", "A = 1\n").parent_path().string(),
                       write("empty", "").string()};
  coordinator.drop_puts = 1;
  EXPECT_EQ(run(options), 0) << err;
  EXPECT_EQ(coordinator.artifacts[digest].size(), large.size());
  EXPECT_EQ(coordinator.artifacts.size(), 3U);
  const json::value body = coordinator.body_of("POST", "/v1/jobs");
  EXPECT_EQ(body.at("files").at(0).at("path"), "in/data.bin");
  EXPECT_EQ(body.at("files").at(0).at("sha256").as_string(), digest);
  EXPECT_EQ(body.at("files").at(1).at("path"), "lib/a.py");
  EXPECT_EQ(body.at("files").at(2).at("path"), "empty");

  const size_t before = coordinator.targets("PUT").size();
  EXPECT_EQ(run(options), 0);
  EXPECT_EQ(coordinator.targets("PUT").size(), before) << "what is there is not sent again";
}

TEST_F(RunTest, JsonIsOneEventALine) {
  coordinator.streams = {
      {.events = {job_event("job", fake_job("active")), log_event(1, "stdout", "hello\n"),
                  job_event("end", fake_job("failed", "finished"))}}};
  coordinator.answer("GET " + job_path() + "/results",
                     json::object{{"outputs", json::object{{"loss", 1}}}});
  RunOptions options = code("pass");
  options.job.json = true;
  EXPECT_EQ(run(options), 1);
  EXPECT_EQ(err, "");
  std::vector<std::string> kinds;
  std::string_view rest = out;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const Result<json::value> line = parse_json(rest.substr(0, end));
    ASSERT_TRUE(line) << rest;
    kinds.emplace_back(line->at("event").as_string());
    if (kinds.back() == "end") {
      EXPECT_EQ(line->at("exit_code"), 1);
    } else if (kinds.back() == "result") {
      EXPECT_EQ(line->at("results").at("outputs").at("loss"), 1);
    }
    rest.remove_prefix(end + 1);
  }
  EXPECT_EQ(kinds, (std::vector<std::string>{"job", "log", "job", "result", "end"}));
}

TEST_F(RunTest, AnInterruptCancelsAndWaitsForTheEnd) {
  coordinator.streams = {{.events = {log_event(1, "stdout", "before\n")}, .stay_open = true},
                         {.events = {log_event(2, "stdout", "last words\n"),
                                     job_event("end", fake_job("cancelled"))}}};
  coordinator.answer("POST " + job_path() + "/cancel", fake_job("active"), 202);
  std::thread keyboard([this] {
    while (coordinator.streams_opened == 0) std::this_thread::yield();
    interrupts.raise();
  });
  EXPECT_EQ(run(code("pass")), 130);
  keyboard.join();
  EXPECT_EQ(out.substr(out.size() - 11), "last words\n");
  const std::vector<std::string> posts = coordinator.targets("POST");
  EXPECT_EQ(posts.back(), job_path() + "/cancel");
  EXPECT_NE(err.find("cancelled after"), std::string::npos) << err;
}

TEST_F(RunTest, InterruptingFollowedLogsOnlyDetaches) {
  coordinator.streams = {{.events = {log_event(1, "stdout", "x\n")}, .stay_open = true}};
  std::thread keyboard([this] {
    while (coordinator.streams_opened == 0) std::this_thread::yield();
    interrupts.raise();
  });
  EXPECT_EQ(run(LogsOptions{.job = kFakeJobId, .follow = true}), 130);
  keyboard.join();
  EXPECT_TRUE(coordinator.targets("POST").empty());
  EXPECT_NE(err.find("the job goes on"), std::string::npos) << err;
}

TEST_F(RunTest, DetachAndSubmitPrintTheId) {
  RunOptions options = code("pass");
  options.detach = true;
  EXPECT_EQ(run(options), 0);
  EXPECT_EQ(out, std::string(kFakeJobId) + "\n");
  SubmitOptions submit;
  submit.job.code = "pass";
  out.clear();
  EXPECT_EQ(run(submit), 0);
  EXPECT_EQ(out, std::string(kFakeJobId) + "\n");
}

TEST(JobId, TextOfOnesOwnIsAlwaysTheSameJob) {
  SeededRandom random(1);
  const WallTime now{1'700'000'000'000};
  EXPECT_EQ(choose_id("nightly 5", now, random)->text(),
            choose_id("nightly 5", now, random)->text());
  EXPECT_NE(choose_id("nightly 5", now, random)->text(),
            choose_id("nightly 6", now, random)->text());
  EXPECT_NE(choose_id("", now, random)->text(), choose_id("", now, random)->text());
  const std::string id = choose_id("", now, random)->text();
  EXPECT_EQ(choose_id(id, now, random)->text(), id);
  EXPECT_FALSE(choose_id("job_short", now, random));
}

}  // namespace
}  // namespace bcai::cli
