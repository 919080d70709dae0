// SPDX-License-Identifier: Apache-2.0
#include "node/outcome.h"

#include <gtest/gtest.h>

namespace bcai::node {
namespace {

sandbox::Report report_of(sandbox::Outcome outcome, int exit_code = 0) {
  sandbox::Report report;
  report.outcome = outcome;
  report.exit_code = exit_code;
  return report;
}

// As the coordinator will read it.
AttemptResult sent(const AttemptResult& result) {
  std::vector<Finding> findings;
  Result<json::value> parsed = parse_json(to_text(encode(result)));
  EXPECT_TRUE(parsed);
  AttemptResult read = decode_attempt_result(*parsed, &findings);
  EXPECT_EQ(findings_text(findings), "");
  return read;
}

TEST(Outcome, TheSelfTestOfItsLevel) {
  sandbox::Report report = report_of(sandbox::Outcome::kFinished);
  report.runtime = "runc 1.1.5";
  EXPECT_FALSE(encode(make_result({}, report, {})).at("sandbox").as_object().contains("self_test"));
  const AttemptFacts facts{.self_test = std::string(64, 'a')};
  EXPECT_EQ(sent(make_result({}, report, facts)).sandbox.self_test, std::string(64, 'a'));
  report.self_test = "2026-11-23T08:12:01Z, 12 of 12 hold";
  EXPECT_EQ(sent(make_result({}, report, facts)).sandbox.self_test, report.self_test);
}

TEST(Outcome, OutputsOfAFinishedJob) {
  sandbox::Report report = report_of(sandbox::Outcome::kFinished);
  report.outputs_json =
      R"({"outputs":{"loss":0.25,"names":["a"]},
          "tensors":[{"name":"w","dtype":"F32","shape":[2,3]}],
          "left_out":[{"name":"f","reason":"a function"}],"error":null})";
  report.artifacts.push_back(
      {.name = "model.pt", .path = "", .sha256 = Sha256::of("x"), .bytes = 1});
  report.left_out.push_back({"outputs/link", "not a regular file"});
  report.usage = {.wall_ms = 1, .cpu_ms = 2, .memory_peak_bytes = 3, .processes_peak = 4};
  report.start_ms = 5;
  const AttemptResult result = sent(make_result({}, report, {.staging_ms = 9, .log_bytes = 77}));
  EXPECT_EQ(result.detail, "finished");
  EXPECT_EQ(to_text(result.outputs), R"({"loss":2.5E-1,"names":["a"]})");
  ASSERT_EQ(result.tensors.size(), 1U);
  EXPECT_EQ(result.tensors[0].shape, (std::vector<int64_t>{2, 3}));
  ASSERT_EQ(result.left_out.size(), 2U);
  EXPECT_EQ(result.left_out[0].name, "outputs/link");
  EXPECT_EQ(result.left_out[1].reason, "a function");
  ASSERT_EQ(result.artifacts.size(), 1U);
  EXPECT_EQ(result.artifacts[0].sha256, Sha256::of("x"));
  EXPECT_EQ(result.usage.processes_peak, 4);
  EXPECT_EQ(result.timings.staging_ms, 9);
  EXPECT_EQ(result.timings.start_ms, 5);
  EXPECT_EQ(result.log_bytes, 77);
}

TEST(Outcome, TensorsBeyondTheListAreNamed) {
  json::array tensors;
  for (int i = 0; i < 1002; ++i) {
    tensors.push_back(
        json::object{{"name", fmt::format("w{}", i)}, {"dtype", "F32"}, {"shape", json::array{2}}});
  }
  sandbox::Report report = report_of(sandbox::Outcome::kFinished);
  report.outputs_json = to_text(json::object{{"tensors", std::move(tensors)}});
  const AttemptResult result = sent(make_result({}, report, {}));
  EXPECT_EQ(result.tensors.size(), 1000U);
  ASSERT_EQ(result.left_out.size(), 2U);
  EXPECT_EQ(result.left_out[1].name, "w1001");
  EXPECT_EQ(result.left_out[1].reason, "more than 1000 tensors; it is in outputs.safetensors");
}

TEST(Outcome, TheJobsOwnErrorIsTheDetailButNotTheOutcome) {
  sandbox::Report report = report_of(sandbox::Outcome::kFinished, 1);
  report.detail = "exit code 1";
  report.outputs_json =
      R"({"error":{"type":"ValueError","message":"bad\nsecond","traceback":"T","line":3}})";
  EXPECT_EQ(sent(make_result({}, report, {})).detail, "ValueError: bad (line 3)");
  report.outcome = sandbox::Outcome::kOutOfMemory;
  report.detail = "";
  EXPECT_EQ(sent(make_result({}, report, {})).detail,
            "used more than 2 GB of memory (hardware.memory)");
}

TEST(Outcome, EveryOutcomeHasASentence) {
  JobSpec spec;
  spec.cpu_seconds_max = 90;
  const std::pair<sandbox::Outcome, const char*> cases[] = {
      {sandbox::Outcome::kFinished, "ended with exit code 137"},
      {sandbox::Outcome::kTimedOut, "ran longer than 1 h 0 m (timeout)"},
      {sandbox::Outcome::kOverCpu, "used more than 1 m 30 s of CPU time (cpu_seconds_max)"},
      {sandbox::Outcome::kOverOutput, "wrote far more than 10 MB of output (output_bytes_max)"},
      {sandbox::Outcome::kOverProcesses,
       "started more than 256 processes and threads (processes_max)"},
      {sandbox::Outcome::kCancelled, "cancelled"},
      {sandbox::Outcome::kPolicyViolation, "tried what the sandbox does not allow"},
      {sandbox::Outcome::kNodeFailure, "the node could not run it"},
  };
  for (const auto& [outcome, sentence] : cases) {
    EXPECT_EQ(sent(make_result(spec, report_of(outcome, 137), {})).detail, sentence);
  }
}

TEST(Outcome, WhatTheNodeEndedForItsOwnReasonsIsANodeFailure) {
  const sandbox::Report report = report_of(sandbox::Outcome::kCancelled);
  EXPECT_EQ(make_result({}, report, {.ended = EndReason::kCancelled}).outcome, Outcome::kCancelled);
  EXPECT_EQ(make_result({}, report, {.ended = EndReason::kFenced}).outcome, Outcome::kCancelled);
  EXPECT_EQ(make_result({}, report, {.ended = EndReason::kStopped}).outcome, Outcome::kNodeFailure);
  EXPECT_EQ(make_result({}, report, {.ended = EndReason::kLeaseLost}).outcome,
            Outcome::kNodeFailure);
  // It finished before the end could reach it.
  EXPECT_EQ(make_result({}, report_of(sandbox::Outcome::kFinished), {.ended = EndReason::kStopped})
                .outcome,
            Outcome::kFinished);
}

TEST(Outcome, HostileOutputsAreCutToWhatTheCoordinatorTakes) {
  sandbox::Report report = report_of(sandbox::Outcome::kFinished, 70'000);
  json::object outputs;
  outputs["small"] = 1;
  outputs["big"] = std::string(5 << 20, 'x');
  outputs[std::string(300, 'n')] = 2;
  json::array tensors;
  tensors.push_back(json::object{{"name", "t"}, {"dtype", "F32"}, {"shape", {-1}}});
  tensors.push_back(json::object{{"name", "u"}, {"dtype", ""}, {"shape", json::array()}});
  tensors.push_back(3);
  json::array left_out;
  for (int i = 0; i < 5000; ++i) {
    left_out.push_back(json::object{{"name", std::string(9000, 'y')}, {"reason", 5}});
  }
  report.outputs_json = to_text(json::object{
      {"outputs", outputs},
      {"tensors", tensors},
      {"left_out", left_out},
      {"error", {{"type", std::string(999, 'e')}, {"line", 1e300}, {"traceback", "t"}}}});
  const AttemptResult result = sent(make_result({}, report, {}));
  EXPECT_EQ(to_text(result.outputs), R"({"small":1})");
  EXPECT_TRUE(result.tensors.empty());
  EXPECT_EQ(result.left_out.size(), 1001U);
  EXPECT_EQ(result.exit_code, 255);
  EXPECT_EQ(result.error.line, 0);
  EXPECT_LE(result.error.type.size(), 256U);
}

TEST(Outcome, UnreadableOutputsAreNamed) {
  sandbox::Report report = report_of(sandbox::Outcome::kFinished);
  report.outputs_json = "{broken";
  const AttemptResult result = sent(make_result({}, report, {}));
  ASSERT_EQ(result.left_out.size(), 1U);
  EXPECT_EQ(result.left_out[0].name, "outputs");
  EXPECT_EQ(result.outcome, Outcome::kFinished);
}

TEST(Progress, MessagesChangeItOnlyWhereTheyMakeSense) {
  Progress progress;
  EXPECT_FALSE(apply_message(R"({"started":true})", &progress));
  EXPECT_FALSE(apply_message("not json", &progress));
  EXPECT_FALSE(apply_message("[1]", &progress));
  EXPECT_TRUE(apply_message(R"({"progress":{"fraction":0.4,"message":"epoch 4"}})", &progress));
  EXPECT_FALSE(apply_message(R"({"progress":{"fraction":0.4,"message":"epoch 4"}})", &progress));
  EXPECT_FALSE(apply_message(R"({"progress":{"fraction":7}})", &progress));
  EXPECT_FALSE(apply_message(R"({"progress":{"fraction":"x"}})", &progress));
  EXPECT_EQ(progress.fraction, 0.4);
  EXPECT_EQ(progress.message, "epoch 4");
  EXPECT_TRUE(apply_message(R"({"metric":{"name":"loss","value":0.3,"step":7}})", &progress));
  EXPECT_TRUE(apply_message(R"({"metric":{"name":"loss","value":0.2}})", &progress));
  EXPECT_FALSE(apply_message(R"({"metric":{"name":"","value":1}})", &progress));
  EXPECT_FALSE(apply_message(R"({"metric":{"name":"x","value":"1"}})", &progress));
  EXPECT_EQ(progress.metrics, (std::map<std::string, double>{{"loss", 0.2}}));
  for (int i = 0; i < 1000; ++i) {
    apply_message(fmt::format(R"({{"metric":{{"name":"m{}","value":1}}}})", i), &progress);
  }
  EXPECT_EQ(progress.metrics.size(), 256U);
  EXPECT_TRUE(apply_message(R"({"metric":{"name":"loss","value":0.1}})", &progress));
}

}  // namespace
}  // namespace bcai::node
