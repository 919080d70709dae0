// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "protocol/job.h"
#include "protocol/log_record.h"
#include "protocol/network.h"
#include "protocol/node.h"
#include "protocol/problem.h"
#include "protocol/result.h"
#include "protocol/secret.h"
#include "protocol/state.h"

namespace bcai {
namespace {

JobSpec read_spec(std::string_view text, std::vector<Finding>* findings) {
  return decode_job_spec(*parse_json(text), findings);
}

std::string findings_of(std::string_view text) {
  std::vector<Finding> findings;
  (void)read_spec(text, &findings);
  return findings_text(findings);
}

TEST(JobSpec, FillsDefaults) {
  std::vector<Finding> findings;
  const JobSpec spec = read_spec(R"j({"code":"print(1)","filename":"train.py"})j", &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(spec.name, "train");
  EXPECT_EQ(spec.timeout_s, 3600);
  EXPECT_EQ(spec.max_retries, 3);
  EXPECT_EQ(spec.hardware.gpu_count, 0);
}

TEST(JobSpec, AGpuWithMemoryIsOneGpu) {
  std::vector<Finding> findings;
  const JobSpec spec =
      read_spec(R"({"code":"x","hardware":{"gpu_memory":"8GB","cpu_cores":0.5}})", &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(spec.hardware.gpu_count, 1);
  EXPECT_EQ(spec.hardware.gpu_memory_bytes, 8'000'000'000);
  EXPECT_EQ(spec.hardware.cpu_millicores, 500);
}

TEST(JobSpec, RoundTripsAndHasOneDigest) {
  std::vector<Finding> findings;
  const std::string sha(64, 'a');
  const JobSpec spec = read_spec(
      R"j({"code":"print(1)","files":[{"path":"a/b.txt","sha256":")j" + sha +
          R"(","bytes":3}],"environment":{"A":"1"},"hardware":{"memory":"2GB"},)"
          R"("requirements":["numpy>=1"],"allowed_imports":["socket"],"import_policy":"off"})",
      &findings);
  ASSERT_TRUE(findings.empty()) << findings_text(findings);
  const JobSpec again = decode_job_spec(encode(spec), &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(again, spec);
  EXPECT_EQ(digest(again), digest(spec));
  JobSpec other = spec;
  other.timeout_s += 1;
  EXPECT_NE(digest(other), digest(spec));
}

TEST(JobSpec, NamesEachThingWrong) {
  EXPECT_EQ(findings_of("[]"), "expected an object, found an array; /code: is required");
  EXPECT_EQ(findings_of(R"({"code":"x","timeout":0})"), "/timeout: expected 1 to 604800, found 0");
  EXPECT_EQ(findings_of(R"({"code":"x","hardware":{"gpu_memry":"8GB","memory":"1kB"}})"),
            "/hardware/memory: expected 16 MB to 100 TB, found \"1kB\"; /hardware/gpu_memry: "
            "unknown field; did you mean 'gpu_memory'?");
  EXPECT_EQ(findings_of(R"({"code":"x","hardware":{"gpu_count":0,"gpu_memory":"8GB"}})"),
            "/hardware/gpu_count: is 0, but gpu_memory or gpu_model asks for a GPU");
  EXPECT_EQ(findings_of(R"({"code":"x\u0000y"})"), "/code: contains a NUL character");
  EXPECT_NE(findings_of(R"({"code":"x","filename":"../x"})"), "");
  EXPECT_NE(findings_of(R"({"code":"x","environment":{"A=B":"1"}})"), "");
  EXPECT_NE(findings_of(R"({"code":"x","max_retries":1e3})"), "");
  EXPECT_NE(findings_of(R"({"code":"x","timeout":18446744073709551615})"), "");
}

TEST(JobSpec, TakesALockInPlaceOfRequirements) {
  const std::string lock =
      R"j({"format":1,"python":"3.11","platform":"linux_x86_64","base":{"numpy":"2.4.6"},)j"
      R"j("packages":[]})j";
  std::vector<Finding> findings;
  const JobSpec spec = read_spec(
      R"j({"code":"x","python_version":"3.11","environment_lock":)j" + lock + "}", &findings);
  ASSERT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(decode_job_spec(encode(spec), &findings), spec);
  EXPECT_EQ(spec.environment_lock->base.at("numpy"), "2.4.6");
  EXPECT_EQ(findings_of(R"j({"code":"x","requirements":["a"],"environment_lock":)j" + lock + "}"),
            "/environment_lock: stands in place of requirements; give one of the two");
  EXPECT_NE(findings_of(R"j({"code":"x","environment_lock":{"format":2}})j")
                .find("/environment_lock/format"),
            std::string::npos);
  for (const char* bad : {"2.7", "3", "3.", "3..1", "three", "3.1.2.4"}) {
    EXPECT_NE(findings_of(fmt::format(R"j({{"code":"x","python_version":"{}"}})j", bad)), "")
        << bad;
  }
}

TEST(JobSpec, BuildsFromSourceWhatItNames) {
  std::vector<Finding> findings;
  const JobSpec spec = read_spec(
      R"j({"code":"x","requirements":["src==1.0"],"build_from_source":["Src","other.one"]})j",
      &findings);
  ASSERT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(decode_job_spec(encode(spec), &findings), spec);
  EXPECT_TRUE(builds_from_source(spec));
  EXPECT_FALSE(builds_from_source(read_spec(R"j({"code":"x","requirements":["a"]})j", &findings)));
  EXPECT_EQ(findings_of(R"j({"code":"x","requirements":["a"],)j"
                        R"j("build_from_source":["a==1","b[c]","-e .","d","D"]})j"),
            "/build_from_source/0: expected the name of a package, found 'a==1'; "
            "/build_from_source/1: expected the name of a package, found 'b[c]'; "
            "/build_from_source/2: expected the name of a package, found '-e .'; "
            "/build_from_source/4: 'd' is there twice");
  EXPECT_EQ(findings_of(R"j({"code":"x","build_from_source":["a"]})j"),
            "/build_from_source: names packages that requirements need; there are none");
}

TEST(JobSpec, ReachesTheHostsItNamesAndNoOthers) {
  const auto with = [](std::string_view allow) {
    return findings_of(fmt::format(R"j({{"code":"x","network":{{"allow":[{}]}}}})j", allow));
  };
  EXPECT_EQ(with(R"("pypi.org:443","192.0.2.1:80","[2001:db8::1]:8080")"), "");
  for (const char* bad : {"\"pypi.org\"", "\"PyPI.org:443\"", "\"*:443\"", "\"a:0\"", "\"a:70000\"",
                          "\":1\"", "\"a b:1\"", "\"http://a:1\"", "\"a:01\"", "3"}) {
    EXPECT_NE(with(bad).find("/network/allow"), std::string::npos) << bad;
  }
  EXPECT_NE(findings_of(R"j({"code":"x","network":{"deny":[]}})j"), "");
}

TEST(Secret, GoesWhereNobodyElseReads) {
  for (const char* endpoint : {"https://example.org", "unix:/run/socket", "http://127.0.0.1:8080",
                               "http://localhost", "http://[::1]:8080", "http://localhost:1/"}) {
    EXPECT_TRUE(keeps_secrets(endpoint)) << endpoint;
  }
  for (const char* endpoint : {"http://example.org", "http://10.0.0.1:8080",
                               "http://localhost.example.org", "http://127.0.0.1.example.org:80"}) {
    EXPECT_FALSE(keeps_secrets(endpoint)) << endpoint;
  }
}

TEST(Network, PatternsOfOperators) {
  EXPECT_TRUE(allows("a.example.org:443", "a.example.org:443"));
  EXPECT_TRUE(allows("*.example.org:443", "a.b.example.org:443"));
  EXPECT_TRUE(allows("*:443", "a:443"));
  for (const auto& [pattern, target] :
       std::initializer_list<std::pair<const char*, const char*>>{{"a:443", "a:80"},
                                                                  {"*.a:443", "a:443"},
                                                                  {"*.a:443", "ba:443"},
                                                                  {"*:443", ":443"},
                                                                  {"*.a:443", "x.a:80"},
                                                                  {"*:443", "a:1443"}}) {
    EXPECT_FALSE(allows(pattern, target)) << pattern << " " << target;
  }
  for (const char* good : {"*:1", "*.a.b:1", "a:1"}) EXPECT_TRUE(is_host_pattern(good)) << good;
  for (const char* bad : {"*", "*.:1", "a*:1", "*a:1", "**:1", "*.*.a:1", ""}) {
    EXPECT_FALSE(is_host_pattern(bad)) << bad;
  }
  EXPECT_TRUE(allow_all({}, {}));
  EXPECT_FALSE(allow_all({"a:1"}, {"a:1", "b:1"}));
}

TEST(JobSpec, AsksForTheHighSecurityLevelForPythonAlone) {
  std::vector<Finding> findings;
  const auto read = [&](const char* text) { return decode_job_spec(*parse_json(text), &findings); };
  EXPECT_EQ(read(R"({"code":"x"})").security_level, "standard");
  const JobSpec high = read(R"({"code":"x","security_level":"high"})");
  EXPECT_EQ(high.security_level, "high");
  EXPECT_EQ(decode_job_spec(encode(high), &findings), high);
  EXPECT_TRUE(findings.empty());
  EXPECT_NE(findings_of(R"({"code":"x","security_level":"highest"})").find("/security_level"),
            std::string::npos);
  EXPECT_NE(findings_of(R"({"program":"p","security_level":"high"})").find("/security_level"),
            std::string::npos);
}

TEST(JobSpec, RefusesPathsThatLeaveTheirPlace) {
  const auto with_path = [](const std::string& path) {
    return findings_of(R"({"code":"x","files":[{"path":")" + path + R"(","sha256":")" +
                       std::string(64, '0') + R"(","bytes":1}]})");
  };
  EXPECT_EQ(with_path("data/train.csv"), "");
  for (const char* bad : {"/etc/passwd", "..", "a/../b", "./a", "a//b", "a/", "a\\u0001b"}) {
    EXPECT_NE(with_path(bad), "") << bad;
  }
}

TEST(JobSpec, RefusesFilesThatClash) {
  const auto with_paths = [](std::string_view a, std::string_view b) {
    const auto file = [](std::string_view path) {
      return fmt::format(R"({{"path":"{}","sha256":"{}","bytes":1}})", path, std::string(64, '0'));
    };
    return findings_of(fmt::format(R"({{"code":"x","files":[{},{}]}})", file(a), file(b)));
  };
  EXPECT_EQ(with_paths("a/b", "a/c"), "");
  EXPECT_EQ(with_paths("a", "a"), "/files/1/path: 'a' is there twice");
  EXPECT_EQ(with_paths("a/b", "a"), "/files/0/path: lies below 'a', which is a file");
  EXPECT_EQ(with_paths("a", ".bcai/x"), "/files/1/path: '.bcai' is the runner's own directory");
  EXPECT_EQ(with_paths("a", "main.py"), "/files/1/path: 'main.py' is the name of the code");
  EXPECT_EQ(with_paths("a", "main.py/x"), "/files/1/path: lies below 'main.py', which is a file");
}

TEST(JobSpec, RefusesCodeWhereAnotherFileLies) {
  const auto named = [](std::string_view filename) {
    return findings_of(
        fmt::format(R"({{"code":"x","filename":"{}","files":[{{"path":"data","sha256":
                                       "{}","bytes":1}}]}})",
                    filename, std::string(64, '0')));
  };
  EXPECT_EQ(named("tools/train.py"), "");
  EXPECT_EQ(named("data"), "/files/0/path: 'data' is the name of the code");
  EXPECT_EQ(named("data/train.py"), "/filename: lies below 'data', which is a file");
  EXPECT_EQ(named(".bcai/train.py"), "/filename: '.bcai' is the runner's own directory");
  for (const char* name : {"outputs", "outputs/train.py"}) {
    EXPECT_EQ(named(name), "/filename: 'outputs' is the directory of what the job leaves");
  }
}

TEST(JobSpec, RefusesMoreFilesThanTheDiskHolds) {
  const auto with_bytes = [](int64_t bytes) {
    return findings_of(fmt::format(R"({{"code":"x","hardware":{{"disk":"1MB"}},"files":[
        {{"path":"a","sha256":"{0}","bytes":{1}}},{{"path":"b","sha256":"{0}","bytes":1}}]}})",
                                   std::string(64, '0'), bytes));
  };
  EXPECT_EQ(with_bytes(991'232), "");
  EXPECT_EQ(with_bytes(991'233),
            "/hardware/disk: is 1000000 bytes, but the code and the files take 1003520");
}

TEST(States, TerminalIsTerminal) {
  for (int from = 0; from < 10; ++from) {
    for (int to = 0; to < 10; ++to) {
      if (!is_terminal(JobState(from))) continue;
      EXPECT_FALSE(may_become(JobState(from), JobState(to)));
    }
  }
  for (int from = 0; from < 12; ++from) {
    for (int to = 0; to < 12; ++to) {
      // A late result is kept as fenced; nothing else leaves a terminal state.
      if (is_terminal(AttemptState(from)) && AttemptState(to) != AttemptState::kFenced) {
        EXPECT_FALSE(may_become(AttemptState(from), AttemptState(to)));
      }
    }
  }
}

TEST(States, NamesRoundTrip) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*parse_job_state(name(JobState(i))), JobState(i));
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(*parse_attempt_state(name(AttemptState(i))), AttemptState(i));
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*parse_outcome(name(Outcome(i))), Outcome(i));
  EXPECT_FALSE(parse_job_state("running"));
}

TEST(States, OnlyInfrastructureIsRetried) {
  EXPECT_EQ(failure_class(Outcome::kFinished, 0), FailureClass::kNone);
  EXPECT_EQ(failure_class(Outcome::kFinished, 1), FailureClass::kUser);
  EXPECT_EQ(failure_class(Outcome::kNodeFailure, 0), FailureClass::kInfra);
}

TEST(Result, RoundTrips) {
  AttemptResult result;
  result.outcome = Outcome::kOutOfMemory;
  result.exit_code = 137;
  result.detail = "used more than 2 GB of memory";
  result.outputs["loss"] = 0.25;
  result.tensors.push_back({.name = "x", .dtype = "F32", .shape = {2, 3}});
  result.left_out.push_back({.name = "model", .reason = "is a Sequential"});
  result.artifacts.push_back({.name = "a.txt", .sha256 = Sha256::of("a"), .bytes = 1});
  result.error = {.type = "ValueError", .message = "no", .traceback = "…", .line = 3};
  result.usage.cpu_ms = 12;
  result.timings.run_ms = 5;
  result.timings.start = "forked";
  result.progress = {.fraction = 1, .message = "done", .metrics = {{"loss", 0.25}}};
  result.log_bytes = 99;
  result.environment_lock =
      packaging::Lock{.python = "3.11", .platform = "linux_x86_64", .base = {{"numpy", "2.4.6"}}};
  std::vector<Finding> findings;
  const AttemptResult again = decode_attempt_result(encode(result), &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(to_text(encode(again)), to_text(encode(result)));
  EXPECT_EQ(again.timings.start, "forked");
  result.timings.start = "hot";
  decode_attempt_result(encode(result), &findings);
  EXPECT_EQ(findings_text(findings), "/timings/start: expected cold, forked or warm, found hot");
}

TEST(LogRecord, RoundTripsAndWaitsForTheRest) {
  std::string data;
  append_log_record(data, LogStream::kStderr, {123}, "hello");
  append_log_record(data, LogStream::kSystem, {456}, "");
  size_t consumed = 0;
  const auto first = read_log_record(data, &consumed);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->stream, LogStream::kStderr);
  EXPECT_EQ(first->time.ms, 123);
  EXPECT_EQ(first->text, "hello");
  EXPECT_EQ(consumed, kLogHeaderBytes + 5);
  for (size_t cut = 0; cut < consumed; ++cut) {
    size_t none = 1;
    EXPECT_FALSE(read_log_record(std::string_view(data).substr(0, cut), &none));
    EXPECT_EQ(none, 0U);
  }
  std::string bad = data;
  bad[4] = 9;
  EXPECT_FALSE(read_log_record(bad, &consumed));
  EXPECT_EQ(consumed, bad.size() + 1);
}

TEST(Node, MessagesRoundTrip) {
  SeededRandom random(1);
  const SigningKey key = SigningKey::make(random);
  NodeRegistration registration{.name = "n", .public_key = key.public_key, .nonce = "abc"};
  registration.signature = key.sign("x");
  registration.capabilities.gpus.push_back({.model = "A100", .memory_bytes = 40, .driver = "1"});
  registration.capabilities.packages["torch"] = "2.13.0";
  std::vector<Finding> findings;
  EXPECT_EQ(to_text(encode(decode_registration(encode(registration), &findings))),
            to_text(encode(registration)));

  Heartbeat heartbeat{.sequence = 4};
  heartbeat.attempts.push_back({.attempt = AttemptId::make({1}, random),
                                .epoch = 2,
                                .state = AttemptState::kRunning,
                                .progress = {.fraction = 0.5, .metrics = {{"loss", 1.5}}}});
  heartbeat.attempts.push_back({.attempt = AttemptId::make({2}, random)});
  EXPECT_EQ(to_text(encode(decode_heartbeat(encode(heartbeat), &findings))),
            to_text(encode(heartbeat)));

  HeartbeatReply reply;
  reply.attempts.push_back(
      {.attempt = AttemptId::make({1}, random), .action = LeaseAction::kFence});
  EXPECT_EQ(to_text(encode(decode_heartbeat_reply(encode(reply), &findings))),
            to_text(encode(reply)));

  Lease lease{.attempt = AttemptId::make({1}, random), .job = JobId::make({1}, random)};
  lease.tenant = "key_1";
  lease.spec = read_spec(R"j({"code":"print(1)"})j", &findings);
  EXPECT_EQ(to_text(encode(decode_lease(encode(lease), &findings))), to_text(encode(lease)));
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
}

TEST(Problem, GoesOutAndComesBack) {
  const Error error{ErrorCode::kInvalidArgument, "the job was refused"};
  const json::value out =
      encode_problem(error, {{.pointer = "/code", .message = "bad", .line = 3, .column = 9}});
  EXPECT_EQ(out.at("status").as_int64(), 400);
  const Error back = decode_problem(400, to_text(out));
  EXPECT_EQ(back.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(back.message, "the job was refused: 3:9: /code: bad");
  EXPECT_EQ(decode_problem(502, "<html>").code, ErrorCode::kInternal);
  EXPECT_EQ(exit_code(ErrorCode::kUnavailable), 3);
}

}  // namespace
}  // namespace bcai
