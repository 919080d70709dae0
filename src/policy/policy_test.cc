// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "base/json.h"
#include "policy/checker.h"
#include "policy/parser_process.h"

namespace bcai::policy {
namespace {

std::unique_ptr<Checker> make_checker(CheckerOptions options = {.timeout = Millis(20'000)}) {
  Result<std::unique_ptr<Checker>> checker = Checker::start(std::move(options));
  EXPECT_TRUE(checker.has_value()) << (checker ? "" : checker.error().message);
  return checker ? std::move(*checker) : nullptr;
}

Result<CheckReport> check(Checker& checker, CheckRequest request) {
  std::promise<Result<CheckReport>> promise;
  std::future<Result<CheckReport>> future = promise.get_future();
  checker.check(std::move(request),
                [&](Result<CheckReport> result) { promise.set_value(std::move(result)); });
  return future.get();
}

// "line:column message", one a line.
std::string findings_of(Checker& checker, CheckRequest request) {
  const Result<CheckReport> report = check(checker, std::move(request));
  if (!report) return "error: " + report.error().message;
  std::string text;
  for (const Finding& finding : report->findings) {
    EXPECT_EQ(finding.pointer, "/code");
    text += fmt::format("{}:{} {}\n", finding.line, finding.column, finding.message);
  }
  return text;
}

std::string repeat(std::string_view piece, size_t count) {
  std::string text;
  for (size_t index = 0; index < count; ++index) text += piece;
  return text;
}

TEST(Checker, AllowedCodeHasNoFindings) {
  const auto checker = make_checker();
  const Result<CheckReport> report =
      check(*checker, {.code = "import torch.nn as nn, os\ndef f():\n  from tqdm import tqdm\n"});
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->findings.empty());
  EXPECT_EQ(report->imports, (std::vector<std::string>{"os", "torch", "tqdm"}));
}

TEST(Checker, EachRefusedImportIsAFindingWithItsPlace) {
  const auto checker = make_checker();
  EXPECT_EQ(findings_of(*checker, {.code = "x = 'é'; import ctypes\nif 1:\n  import os, socket\n"}),
            "1:17 import of 'ctypes' is not allowed by the import policy; ask for it with "
            "--allow-import ctypes\n"
            "3:14 import of 'socket' is not allowed by the import policy; ask for it with "
            "--allow-import socket\n");
}

TEST(Checker, ImportsAreAllowedWhenAskedForOrOwnOrUnrestricted) {
  const auto checker = make_checker();
  const std::string code = "import ctypes.util, mine\n";
  EXPECT_EQ(
      findings_of(*checker, {.code = code, .allowed_imports = {"ctypes"}, .job_modules = {"mine"}}),
      "");
  EXPECT_EQ(findings_of(*checker, {.code = code, .imports_restricted = false}), "");
  EXPECT_NE(findings_of(*checker, {.code = code, .allowed_imports = {"ctypes"}}), "");
}

TEST(Checker, SyntaxErrorsHaveLineAndColumn) {
  const auto checker = make_checker();
  EXPECT_EQ(findings_of(*checker, {.code = "a = 1\nb = (\n"}),
            "2:5 syntax error: '(' was never closed\n");
  EXPECT_EQ(findings_of(*checker, {.code = "return 1\n"}),
            "1:1 syntax error: 'return' outside function\n");
}

TEST(Checker, UnreadableBytesAreFindings) {
  const auto checker = make_checker();
  EXPECT_EQ(findings_of(*checker, {.code = std::string("a = 1\nb\0", 8)}),
            "2:2 code contains a NUL byte\n");
  EXPECT_EQ(findings_of(*checker, {.code = "a = '\xff'\n"}),
            "1:6 code is not UTF-8: invalid start byte 0xff\n");
  EXPECT_EQ(findings_of(*checker, {.code = "# coding: latin-1\n"}),
            "1:11 code declares the encoding 'latin-1'; it is read as UTF-8\n");
}

TEST(Checker, CodeThatIsTooLargeIsNotParsed) {
  const auto checker = make_checker();
  EXPECT_EQ(findings_of(*checker, {.code = std::string((1 << 20) + 1, '\n')}),
            "0:0 code has 1048577 bytes, at most 1048576\n");
  EXPECT_EQ(findings_of(*checker, {.code = std::string(1 << 20, '\n')}), "");
}

TEST(Checker, BombsAreFindingsAndTheNextCheckWorks) {
  const auto checker = make_checker();
  const std::string refused = "0:0 code is too deeply nested or too large for Python's parser\n";
  const std::vector<std::string> bombs = {repeat("-", 500'000) + "1", repeat("not ", 200'000) + "1",
                                          "a" + repeat(".a", 400'000), "1" + repeat("+1", 400'000),
                                          repeat("x=1\n", 1 << 18)};
  for (const std::string& bomb : bombs) {
    EXPECT_EQ(findings_of(*checker, {.code = bomb}), refused) << bomb.substr(0, 10);
    EXPECT_EQ(findings_of(*checker, {.code = "import os\n"}), "");
  }
}

TEST(Checker, AStalledParserIsAFindingAndTheNextCheckWorks) {
  const auto checker = make_checker({.timeout = Millis(500)});
  const std::string slow = repeat("x = foo(a, b[3] + c) * 'text'\n", 34'000);
  EXPECT_EQ(findings_of(*checker, {.code = slow}), "0:0 code could not be parsed within 500 ms\n");
  EXPECT_EQ(findings_of(*checker, {.code = "import os\n"}), "");
}

TEST(Checker, ManyThreadsGetTheirOwnAnswers) {
  const auto checker = make_checker();
  std::vector<std::promise<std::string>> answers(200);
  for (size_t index = 0; index < answers.size(); ++index) {
    checker->check({.code = fmt::format("import m{}\n", index), .imports_restricted = false},
                   [&answers, index](Result<CheckReport> report) {
                     answers[index].set_value(report ? report->imports.at(0) : "");
                   });
  }
  for (size_t index = 0; index < answers.size(); ++index) {
    EXPECT_EQ(answers[index].get_future().get(), fmt::format("m{}", index));
  }
}

TEST(Checker, DestructionAnswersWhatStillWaits) {
  std::atomic<int> answered = 0;
  constexpr int kCount = 50;
  {
    const auto checker = make_checker();
    const std::string slow = repeat("x = foo(a, b[3] + c)\n", 5'000);
    for (int index = 0; index < kCount; ++index) {
      checker->check({.code = slow}, [&](Result<CheckReport> report) {
        EXPECT_TRUE(report || report.error().code == ErrorCode::kUnavailable);
        ++answered;
      });
    }
  }
  EXPECT_EQ(answered, kCount);
}

TEST(Checker, StartSaysWhenPythonIsMissing) {
  Result<std::unique_ptr<Checker>> checker = Checker::start({.python = "/nowhere/python3"});
  ASSERT_FALSE(checker.has_value());
  EXPECT_EQ(checker.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(checker.error().message.find("/nowhere/python3"), std::string::npos);
}

TEST(ParserProcess, HasNoRights) {
  ParserProcess parser;
  ASSERT_TRUE(parser.start("/usr/bin/python3").has_value());
  std::ifstream status(fmt::format("/proc/{}/status", parser.pid()));
  std::string text((std::istreambuf_iterator<char>(status)), {});
  EXPECT_NE(text.find("NoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(text.find("Seccomp:\t2"), std::string::npos);
  EXPECT_NE(text.find("CapEff:\t0000000000000000"), std::string::npos);
  if (geteuid() == 0) {
    EXPECT_NE(text.find("Uid:\t65534\t65534\t65534\t65534"), std::string::npos);
    const auto network = [](std::string_view process) {
      return std::filesystem::read_symlink(fmt::format("/proc/{}/ns/net", process)).string();
    };
    EXPECT_NE(network(std::to_string(parser.pid())), network("self"));
  }
  std::ifstream environment(fmt::format("/proc/{}/environ", parser.pid()));
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(environment)), {}), "");
}

TEST(ParserProcess, DiesWithItsStarter) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t starter = fork();
  if (starter == 0) {
    ParserProcess parser;
    const pid_t pid = parser.start("/usr/bin/python3") ? parser.pid() : 0;
    (void)!write(pipe_fds[1], &pid, sizeof pid);
    kill(getpid(), SIGKILL);  // no destructor runs
  }
  pid_t parser = 0;
  ASSERT_EQ(read(pipe_fds[0], &parser, sizeof parser), static_cast<ssize_t>(sizeof parser));
  ASSERT_GT(parser, 0);
  waitpid(starter, nullptr, 0);
  bool gone = false;
  for (int tries = 0; tries < 500 && !gone; ++tries) {
    std::ifstream status(fmt::format("/proc/{}/status", parser));
    const std::string text((std::istreambuf_iterator<char>(status)), {});
    gone = text.empty() || text.find("State:\tZ") != std::string::npos;
    usleep(10'000);
  }
  EXPECT_TRUE(gone);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST(ImportsJson, IsWhatTheCheckerUses) {
  const Result<json::value> policy = parse_json(imports_json());
  ASSERT_TRUE(policy.has_value());
  const json::object& lists = policy->as_object();
  EXPECT_EQ(lists.at("version").as_int64(), 1);
  const auto checker = make_checker();
  std::string code;
  for (const json::value& name : lists.at("packages").as_array()) {
    code += fmt::format("import {}\n", to_std(name.as_string()));
  }
  EXPECT_EQ(findings_of(*checker, {.code = code}), "");
  for (const json::value& name : lists.at("denied").as_array()) {
    EXPECT_NE(findings_of(*checker, {.code = fmt::format("import {}\n", to_std(name.as_string()))}),
              "");
  }
}

}  // namespace
}  // namespace bcai::policy
