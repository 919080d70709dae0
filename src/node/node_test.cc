// SPDX-License-Identifier: Apache-2.0
// The whole node with the real sandbox, against the coordinator of the fixture. Skipped, visibly,
// where this machine cannot run a sandbox.
#include "node/node.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "node/agent_fixture.h"
#include "node/proof.h"

namespace bcai::node {
namespace {

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    configure_log(LogLevel::kOff, LogFormat::kText);
    std::string name = ::testing::TempDir() + "/nodeXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  std::filesystem::path directory;
};

TEST_F(NodeTest, OpensAsManyFilesAsTheSystemAllows) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{256, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  NodeConfig config;
  config.data_directory = directory / "data";
  config.python = "/nonexistent";
  EXPECT_FALSE(Node::start(config));
  rlimit after{};
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(NodeTest, RunsPythonInTheRealSandbox) {
  const sandbox::Host host = sandbox::inspect_host("runc");
  if (geteuid() != 0 || host.runtime.empty()) {
    GTEST_SKIP() << "no sandbox here: " << (geteuid() != 0 ? "not root" : "runc is not installed");
  }
  FakeCoordinator coordinator(directory / "socket");
  NodeConfig config;
  config.name = "test";
  config.coordinator = coordinator.endpoint();
  config.key = "bcai_operator";
  config.data_directory = directory / "data";
  config.slots = 2;
  Result<std::unique_ptr<Node>> node = Node::start(config);
  ASSERT_TRUE(node) << node.error().message;
  const Capabilities told =
      coordinator.look([](const auto& state) { return state.registrations.at(0).capabilities; });
  EXPECT_EQ(told.slots, 2);
  EXPECT_FALSE(told.self_test.empty());
  EXPECT_TRUE(told.sandbox_runtime.starts_with("runc")) << told.sandbox_runtime;
  EXPECT_TRUE(told.python_version.starts_with("3.")) << told.python_version;

  const std::string input = "7\n";
  coordinator.put_artifact(input);
  Lease lease;
  lease.attempt.bytes[15] = 1;
  lease.epoch = 7;
  lease.spec.name = "job";
  lease.spec.hardware.memory_bytes = 200'000'000;
  lease.spec.files = {{"n.txt", Sha256::of(input), 2}};
  lease.spec.code =
      "import bcai, os\n"
      "n = int(open('n.txt').read())\n"
      "print('n is', n)\n"
      "bcai.log_metric('n', n)\n"
      "os.makedirs('outputs', exist_ok=True)\n"
      "open('outputs/twice.txt', 'w').write(str(2 * n))\n"
      "square = n * n\n";
  coordinator.offer(lease);
  ASSERT_TRUE(coordinator.wait([&] { return coordinator.results_of(lease.attempt) > 0; }));
  const AttemptResult result =
      coordinator.look([&](const auto& state) { return state.results.at(lease.attempt).back(); });
  ASSERT_EQ(result.outcome, Outcome::kFinished) << result.detail;
  ASSERT_EQ(result.exit_code, 0) << result.detail << result.error.traceback;
  EXPECT_EQ(coordinator.log_text(lease.attempt), "n is 7\n");
  EXPECT_EQ(to_text(result.outputs.at("square")), "49");
  ASSERT_EQ(result.artifacts.size(), 1U);
  EXPECT_EQ(result.artifacts[0].name, "outputs/twice.txt");
  EXPECT_EQ(result.artifacts[0].sha256, Sha256::of("14"));
  EXPECT_GT(result.usage.memory_peak_bytes, 0);
  (*node)->stop();
  EXPECT_EQ((*node)->status().running, 0);
  EXPECT_EQ(coordinator.look([](const auto& state) { return state.problems; }),
            std::vector<std::string>());
}

TEST_F(NodeTest, TheSelfTestIsRememberedOnlyWhenAllOfItHeld) {
  Capabilities machine;
  machine.kernel = "6.1";
  int runs = 0;
  bool holds = false;
  const auto run = [&] {
    runs += 1;
    return std::vector<sandbox::SelfTestLine>{{"memory", true, "ok"}, {"network", holds, "seen"}};
  };
  const auto ask = [&](bool afresh = false) {
    return self_test({.file = directory / "self_test.json", .afresh = afresh, .machine = &machine},
                     run);
  };
  EXPECT_FALSE(ask()[1].holds);
  EXPECT_FALSE(ask()[1].holds);
  EXPECT_EQ(runs, 2);
  holds = true;
  EXPECT_TRUE(ask()[1].holds);
  EXPECT_EQ(ask().size(), 2U);
  EXPECT_EQ(runs, 3);
  ask(true);
  EXPECT_EQ(runs, 4);
  machine.kernel = "6.2";
  ask();
  EXPECT_EQ(runs, 5);
  ASSERT_TRUE(write_file(directory / "self_test.json", "{\"key\": 5, \"lines\": 3}"));
  EXPECT_EQ(ask()[0].name, "memory");
}

}  // namespace
}  // namespace bcai::node
