// SPDX-License-Identifier: Apache-2.0
// Native tasks, with the real runc. Skipped, visibly, where we are not root or there is none.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <set>
#include <sstream>

#include "base/file.h"
#include "sandbox/inspect.h"
#include "sandbox/libraries.h"
#include "sandbox/sandbox.h"
#include "sandbox/spawn.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

// Any program is good enough for the border: bash tells by itself what it sees.
class NativeTest : public ::testing::Test {
 protected:
  EngineOptions options() const {
    return {.state_directory = state_, .uid_base = 391'000, .cgroup_parent = "bcai_test"};
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (inspect_host("runc").runtime.empty()) GTEST_SKIP() << "needs runc";
    state_ = make_temporary_directory();
    EngineOptions native = options();
    native.native_program = "/bin/bash";
    auto made = Engine::make(std::move(native));
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }
  void TearDown() override {
    engine_.reset();
    if (!state_.empty()) fs::remove_all(state_);
  }
  Ran run(std::string script, Limits limits = small()) {
    Task task;
    task.id = "native";
    task.native = {"-c", std::move(script)};
    task.limits = limits;
    return run_task(*engine_, task, state_ / "artifacts");
  }
  static Limits small() {
    Limits limits;
    limits.memory_bytes_max = 100'000'000;
    limits.disk_bytes_max = 4'000'000;
    limits.processes_max = 16;
    limits.wall_ms_max = 20'000;
    limits.grace = Millis(100);
    return limits;
  }

  fs::path state_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(NativeTest, ItsRootHoldsTheProgramAndItsLibrariesAlone) {
  const Ran ran =
      run("shopt -s globstar dotglob nullglob; cd /;"
          "for f in etc/** opt/** usr/** in/** work/** home/** root/** var/**; do"
          " [ -f \"$f\" ] && echo \"$f\"; done; true");
  ASSERT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail << ran.err;
  std::set<std::string> expected = {"usr/bin/bcai", "etc/passwd",        "etc/group",
                                    "etc/hosts",    "etc/nsswitch.conf", "etc/resolv.conf"};
  auto libraries = find_libraries({"/bin/bash"}, {});
  ASSERT_TRUE(libraries);
  std::set<std::string> allowed = {libraries->loader.filename()};
  for (const auto& [name, file] : libraries->libraries) allowed.insert(name);
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);) {
    if (expected.erase(line) > 0) continue;
    EXPECT_TRUE(allowed.contains(fs::path(line).filename())) << line;
  }
  EXPECT_TRUE(expected.empty()) << *expected.begin();
  EXPECT_EQ(ran.out.find("python"), std::string::npos);
}

TEST_F(NativeTest, LimitsHoldAsForPython) {
  const Ran hungry = run("x=x; while true; do x=$x$x; done");
  EXPECT_EQ(hungry.report.outcome, Outcome::kOutOfMemory) << hungry.report.detail;
  Limits short_time = small();
  short_time.wall_ms_max = 300;
  EXPECT_EQ(run("while true; do :; done", short_time).report.outcome, Outcome::kTimedOut);
  const Ran wide = run("for i in {1..64}; do (read -t 5 < /dev/zero) & done; wait");
  EXPECT_EQ(wide.report.outcome, Outcome::kOverProcesses) << wide.report.detail;
  EXPECT_EQ(run("exit 7").report.exit_code, 7);
}

TEST_F(NativeTest, ReachesNoServerOfThisMachine) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), any, size), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  ASSERT_EQ(getsockname(listener.get(), any, &size), 0);
  const std::string script = fmt::format(
      "exec 3<>/dev/tcp/127.0.0.1/{} && echo connected || echo refused", ntohs(address.sin_port));
  const auto outside =
      run_captured({.arguments = {"/bin/bash", "-c", script}, .environment = {}}, Millis(10'000));
  ASSERT_TRUE(outside) << outside.error().message;
  EXPECT_EQ(outside->output, "connected\n");
  // bash ends, or goes on, when exec fails: it never says that it is connected.
  const Ran inside = run(script);
  EXPECT_EQ(inside.report.outcome, Outcome::kFinished) << inside.report.detail;
  EXPECT_NE(inside.err.find("/dev/tcp/127.0.0.1/"), std::string::npos) << inside.err;
  EXPECT_EQ(inside.out.find("connected"), std::string::npos);
}

TEST_F(NativeTest, WhatItWasNotGivenIsReadOnly) {
  const Ran ran = run("while read -r line; do echo \"$line\"; done < /proc/self/mountinfo");
  ASSERT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail << ran.err;
  // id parent device root place options …
  std::map<std::string, std::string> options;
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, place, of_place;
    fields >> id >> parent >> device >> root >> place >> of_place;
    options[place] = of_place;
  }
  const auto is_read_only = [&](const std::string& place) {
    return ("," + options[place] + ",").find(",ro,") != std::string::npos;
  };
  ASSERT_TRUE(options.contains("/")) << ran.out;
  ASSERT_TRUE(options.contains("/work")) << ran.out;
  EXPECT_TRUE(is_read_only("/")) << ran.out;
  EXPECT_FALSE(is_read_only("/work")) << ran.out;
  for (const char* place : {"/usr", "/usr/bin", "/usr/lib", "/etc", "/in"}) {
    EXPECT_TRUE(!options.contains(place) || is_read_only(place)) << place << "\n" << ran.out;
  }
}

TEST_F(NativeTest, ItsDeniedCallsAreCounted) {
  engine_.reset();
  EngineOptions native = options();
  native.native_program = "/usr/bin/unshare";
  auto made = Engine::make(std::move(native));
  ASSERT_TRUE(made) << made.error().message;
  engine_ = std::move(*made);
  Task task;
  task.id = "native";
  task.native = {"--net", "true"};
  task.limits = small();
  Cancellation cancellation;
  const Report report = engine_->run(task, state_ / "artifacts", {}, cancellation);
  EXPECT_EQ(report.outcome, Outcome::kFinished) << report.detail;
  EXPECT_EQ(report.exit_code, 1);
  EXPECT_EQ(report.denied_calls, (std::map<std::string, int64_t>{{"unshare", 1}}));
}

TEST_F(NativeTest, WithoutAProgramThereAreNone) {
  engine_.reset();
  auto made = Engine::make(options());
  ASSERT_TRUE(made) << made.error().message;
  engine_ = std::move(*made);
  const Ran ran = run("echo hello");
  EXPECT_EQ(ran.report.outcome, Outcome::kNodeFailure);
  EXPECT_EQ(ran.report.detail, "this engine has no native program to run");
}

}  // namespace
}  // namespace bcai::sandbox
