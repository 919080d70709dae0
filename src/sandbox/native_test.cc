// SPDX-License-Identifier: Apache-2.0
// Native tasks, with the real runc. Skipped, visibly, where we are not root or there is none.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "sandbox/inspect.h"
#include "sandbox/libraries.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

struct Ran {
  Report report;
  std::string out;
  std::string err;
};

// Any program is good enough for the border: bash tells by itself what it sees.
class NativeTest : public ::testing::Test {
 protected:
  EngineOptions options() const {
    return {.state_directory = state_, .uid_base = 391'000, .cgroup_parent = "bcai_test"};
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (inspect_host("runc").runtime.empty()) GTEST_SKIP() << "needs runc";
    std::string name = ::testing::TempDir() + "native_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    state_ = name;
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
    Cancellation cancellation;
    Ran ran;
    ran.report = engine_->run(task, state_ / "artifacts",
                              {.on_started = {},
                               .on_output =
                                   [&](Stream s, std::string_view d) {
                                     (s == Stream::kStdout ? ran.out : ran.err).append(d);
                                   },
                               .on_message = {}},
                              cancellation);
    return ran;
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
  const Ran net = run("exec 3<>/dev/tcp/127.0.0.1/80 && echo connected");
  EXPECT_EQ(net.out, "");
  const Ran wrote = run("echo x > /usr/bin/other && echo wrote; echo x > /etc/x && echo wrote");
  EXPECT_EQ(wrote.out, "");
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
