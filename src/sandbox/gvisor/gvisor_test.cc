// SPDX-License-Identifier: Apache-2.0
// The high level with the real runsc. Skipped, visibly, where we are not root or there is none.
#include "sandbox/gvisor/gvisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "base/file.h"
#include "sandbox/sandbox.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGvisorTestGroup = "bcai_gvisor_test";

std::string runsc_version_of(std::string_view output) {
  const auto version = parse_runsc_version(output);
  return version ? version->text() : "none";
}

TEST(RunscVersion, Parses) {
  EXPECT_EQ(runsc_version_of("runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n"), "20221219.0");
  EXPECT_EQ(runsc_version_of("runsc version release-20241007.3\nspec: 1.1.0\n"), "20241007.3");
  EXPECT_EQ(runsc_version_of("runsc version release-20241007"), "20241007.0");
  EXPECT_EQ(runsc_version_of("runsc version release-2024"), "none");
  EXPECT_EQ(runsc_version_of("runc version 1.1.5"), "none");
  EXPECT_EQ(runsc_version_of(""), "none");
}

Ran run(Engine& engine, const fs::path& artifacts_to, Task task) {
  static std::atomic<int> count = 0;
  task.id = fmt::format("h{}", count++);
  task.level = SecurityLevel::kHigh;
  return run_task(engine, task, artifacts_to / task.id);
}

Task python(std::string code) {
  Task task;
  task.code = std::move(code);
  task.imports_restricted = false;
  return task;
}

class GvisorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Host host = inspect_host("runc");
    if (host.runtime.empty() || !host.high_lacking.empty()) return;
    state_ = make_temporary_directory();
    auto made = Engine::make(options("runsc"));
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }
  static void TearDownTestSuite() {
    engine_.reset();
    if (!state_.empty()) fs::remove_all(state_);
  }
  void SetUp() override {
    if (!engine_) GTEST_SKIP() << "needs root, runc and runsc";
  }
  static EngineOptions options(std::string runsc) {
    return {.state_directory = state_,
            .runsc = std::move(runsc),
            .uid_base = 394'000,
            .cgroup_parent = kGvisorTestGroup};
  }
  static Ran run_high(Task task) { return run(*engine_, state_ / "artifacts", std::move(task)); }

  static inline fs::path state_;
  static inline std::unique_ptr<Engine> engine_;
};

TEST_F(GvisorTest, PassesItsSelfTestAndSaysUnderWhatATaskRan) {
  const auto level = engine_->high();
  ASSERT_TRUE(level) << level.error().message;
  EXPECT_EQ(level->runtime.find("runsc 20"), 0U);
  EXPECT_NE(level->self_test.find("hold"), std::string::npos);
  const Ran ran =
      run_high(python("import sys; print('out'); print('err', file=sys.stderr); x = 3"));
  EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail << ran.err;
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_NE(ran.report.outputs_json.find("\"x\":3"), std::string::npos);
  EXPECT_EQ(ran.report.runtime, level->runtime);
  EXPECT_EQ(ran.report.self_test, level->self_test);
}

TEST_F(GvisorTest, AnswersWithAKernelOfItsOwn) {
  const Ran ran = run_high(python("print(open('/proc/version').read())"));
  const auto host = read_file("/proc/version");
  ASSERT_TRUE(host);
  EXPECT_NE(ran.out, "");
  EXPECT_EQ(ran.out.find(host->substr(0, 20)), std::string::npos);
}

TEST_F(GvisorTest, GivesFilesArgumentsAndEnvironmentAndTakesArtifacts) {
  const fs::path source = state_ / "source";
  ASSERT_TRUE(write_file(source, std::string(3'000'000, 'i')));
  Task task = python(
      "import os, sys\n"
      "data = open('data/input').read()\n"
      "print(sys.argv, os.environ['A'], len(data), sys.stdin.read())\n"
      "os.makedirs('outputs/deep', exist_ok=True)\n"
      "open('outputs/deep/x', 'w').write(data[:5])\n"
      "sys.exit(7)\n");
  task.arguments = {"one"};
  task.environment = {{"A", "b"}};
  task.files = {{.path = "data/input", .source = source}};
  const Ran ran = run_high(std::move(task));
  EXPECT_EQ(ran.out, "['main.py', 'one'] b 3000000 \n") << ran.err;
  EXPECT_EQ(ran.report.exit_code, 7);
  ASSERT_EQ(ran.report.artifacts.size(), 1U);
  EXPECT_EQ(ran.report.artifacts[0].name, "outputs/deep/x");
  EXPECT_EQ(ran.report.artifacts[0].bytes, 5);
}

TEST_F(GvisorTest, KeepsAWriteWhole) {
  const Ran ran = run_high(python("print('x' * 1_000_000)"));
  EXPECT_EQ(ran.out.size(), 1'000'001U);
}

TEST_F(GvisorTest, EndsWhatGoesOverItsLimits) {
  Task memory = python("x = bytearray(500_000_000)");
  memory.limits.memory_bytes_max = 64'000'000;
  EXPECT_EQ(run_high(std::move(memory)).report.outcome, Outcome::kOutOfMemory);
  Task wall = python("import signal, time\nsignal.signal(15, lambda *_: None)\ntime.sleep(60)");
  wall.limits.wall_ms_max = 300;
  wall.limits.grace = Millis(100);
  EXPECT_EQ(run_high(std::move(wall)).report.outcome, Outcome::kTimedOut);
  Task budget = python("while True: pass");
  budget.limits.cpu_ms_max = 1500;
  EXPECT_EQ(run_high(std::move(budget)).report.outcome, Outcome::kOverCpu);
}

TEST_F(GvisorTest, TellsTheNumberOfProcessesThatWasMet) {
  const Ran ran = run_high(
      python("import os, time\nfor _ in range(2000):\n    if os.fork() == 0: time.sleep(60)"));
  EXPECT_EQ(ran.report.outcome, Outcome::kOverProcesses) << ran.report.detail << ran.err;
  EXPECT_EQ(ran.report.detail.find("tried to run more than 1024 processes and threads of this"), 0U)
      << ran.report.detail;
  EXPECT_EQ(ran.report.usage.processes_peak, 1024);
}

TEST_F(GvisorTest, TellsTheTaskThatItsTimeIsUp) {
  Task task = python("import time\nx = 4\ntime.sleep(60)");
  task.limits.wall_ms_max = 300;
  const Ran ran = run_high(std::move(task));
  EXPECT_EQ(ran.report.outcome, Outcome::kTimedOut);
  EXPECT_NE(ran.report.outputs_json.find("\"x\":4"), std::string::npos);
}

TEST_F(GvisorTest, LeavesNothing) {
  const std::string list = fmt::format("/proc/self/task/{}/children", gettid());
  const auto before = read_file(list);
  (void)run_high(python("import os\nfor _ in range(3): os.fork()\nos.setsid()"));
  EXPECT_TRUE(fs::is_empty(state_ / "bundles"));
  const auto after = read_file(list);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(*after, *before);
}

// gVisor of 2022 locked up in one of seven runs when the job had a process group of its own.
TEST_F(GvisorTest, EndsWhenProcessesLeaveTheirGroup) {
  for (int n = 0; n < 7; ++n) {
    Task task = python("import os\nfor _ in range(3): os.fork()\nos.setsid()");
    task.limits.wall_ms_max = 30'000;
    const Ran ran = run_high(std::move(task));
    ASSERT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail << ran.err;
  }
}

int parent_of(int process) {
  const auto status = read_file(fmt::format("/proc/{}/status", process));
  const size_t at = status ? status->find("\nPPid:") : std::string::npos;
  return at == std::string::npos ? 0 : std::stoi(status->substr(at + 6));
}

bool is_ours(int process) {
  while (process > 1 && process != getpid()) process = parent_of(process);
  return process == getpid();
}

// What this process started, however far, and whose first argument ends like this.
std::vector<int> processes_named(std::string_view ending) {
  std::vector<int> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const int process = std::atoi(entry.path().filename().c_str());
    const auto command =
        process > 0 ? read_file(entry.path() / "cmdline") : Result<std::string>("");
    if (!command || !std::string_view(command->c_str()).ends_with(ending)) continue;
    if (is_ours(process)) out.push_back(process);
  }
  return out;
}

TEST_F(GvisorTest, IsTheNodesFailureWhenGvisorEndsBeforeTheTask) {
  for (const char* victim : {"runsc-sandbox", "runsc-gofer", "/runsc"}) {
    Task task = python("import time; time.sleep(60)");
    task.id = "victim";
    task.level = SecurityLevel::kHigh;
    Cancellation cancellation;
    size_t killed = 0;
    const Callbacks callbacks{.on_started =
                                  [&] {
                                    for (const int process : processes_named(victim)) {
                                      killed += kill(process, SIGKILL) == 0 ? 1 : 0;
                                    }
                                  },
                              .on_output = {},
                              .on_message = {}};
    const Report report = engine_->run(task, state_ / "artifacts", callbacks, cancellation);
    EXPECT_GT(killed, 0U) << victim;
    EXPECT_EQ(report.outcome, Outcome::kNodeFailure) << victim << ": " << report.detail;
    EXPECT_NE(report.detail.find("gVisor ended"), std::string::npos) << report.detail;
  }
}

TEST_F(GvisorTest, TellsATasksOwnEndFromGvisors) {
  const std::pair<const char*, int> ends[] = {
      {"import os; os._exit(137)", 137},
      {"import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137},
      {"import os\nfor n in (1, 2, 3, 10, 34):\n    os.kill(1, n)", 0},
      {"import ctypes; ctypes.string_at(0)", 139},
      {"import bcai\nfor i in range(250): bcai.log_metric(f'm{i}', i)", 0},
      {"import os\nos.set_blocking(3, True)\n"  // else a full socket is the job's own error
       "for i in range(1000): os.write(3, b'{}\\n')\nos.write(3, b'{')",
       0}};
  for (const auto& [code, exit_code] : ends) {
    const Ran ran = run_high(python(code));
    EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << code << ran.report.detail << ran.err;
    EXPECT_EQ(ran.report.exit_code, exit_code) << code;
  }
}

TEST_F(GvisorTest, RefusesANativeProgram) {
  Task task;
  task.native = {"version"};
  const Ran ran = run_high(std::move(task));
  EXPECT_EQ(ran.report.outcome, Outcome::kNodeFailure);
  EXPECT_NE(ran.report.detail.find("native"), std::string::npos) << ran.report.detail;
}

// With guests that wait.
class WaitingGvisorTest : public GvisorTest {
 protected:
  static void SetUpTestSuite() {
    const Host host = inspect_host("runc");
    if (host.runtime.empty() || !host.high_lacking.empty()) return;
    state_ = make_temporary_directory();
    EngineOptions chosen = options("runsc");
    chosen.warm_starts = true;
    auto made = Engine::make(chosen);
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }
  static Task of(std::string tenant, std::string code) {
    Task task = python(std::move(code));
    task.tenant = std::move(tenant);
    task.level = SecurityLevel::kHigh;
    return task;
  }
  static Ran run_warm(const Task& task) {
    const auto waits = engine_->await_warm(task);
    EXPECT_TRUE(waits) << waits.error().message;
    Ran ran = run_high(task);
    EXPECT_EQ(ran.report.start, Start::kWarm);
    EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail << ran.err;
    return ran;
  }
};

TEST_F(WaitingGvisorTest, GivesATaskThatComesLaterAllThatIsItsOwn) {
  const fs::path source = state_ / "source";
  ASSERT_TRUE(write_file(source, std::string(3'000'000, 'i')));
  Task task = of("a",
                 "import os, resource, sys\n"
                 "print(sys.argv, os.environ['A'], len(open('data/input').read()))\n"
                 "print(resource.getrlimit(resource.RLIMIT_NOFILE), os.getpid() > 1)\n"
                 "os.makedirs('outputs', exist_ok=True); open('outputs/x', 'w').write('x')\n"
                 "y = 7\n");
  task.arguments = {"one"};
  task.environment = {{"A", "b"}};
  task.files = {{.path = "data/input", .source = source}};
  task.limits.open_files_max = 99;
  const Ran ran = run_warm(task);
  EXPECT_EQ(ran.out, "['main.py', 'one'] b 3000000\n(99, 99) True\n");
  EXPECT_NE(ran.report.outputs_json.find("\"y\":7"), std::string::npos);
  EXPECT_EQ(ran.report.artifacts.size(), 1U);
}

TEST_F(WaitingGvisorTest, HoldsATaskToItsOwnLimits) {
  Task disk = of("a",
                 "try:\n"
                 "    with open('/work/a', 'wb', 0) as f:\n"
                 "        for _ in range(64): f.write(bytes(1_000_000))\n"
                 "except OSError: print('full')\n");
  disk.limits.file_bytes_max = 100'000'000;
  disk.limits.disk_bytes_max = 8'000'000;
  EXPECT_EQ(run_warm(disk).out, "full\n");
  Task memory = of("a", "x = bytearray(900_000_000)");
  memory.limits.memory_bytes_max = 200'000'000;
  ASSERT_TRUE(engine_->await_warm(memory));
  const Ran over = run_high(memory);
  EXPECT_EQ(over.report.start, Start::kWarm);
  EXPECT_EQ(over.report.outcome, Outcome::kOutOfMemory);
}

TEST_F(WaitingGvisorTest, IsOneTasksAlone) {
  const Task task = of("a",
                       "import os\n"
                       "print(os.path.exists('/tmp/left'), os.listdir('/work'))\n"
                       "open('/tmp/left', 'w').close()\n");
  EXPECT_EQ(run_warm(task).out.substr(0, 6), "False ");
  EXPECT_EQ(run_warm(task).out.substr(0, 6), "False ");
}

TEST_F(WaitingGvisorTest, WaitsForOneTenantAlone) {
  ASSERT_TRUE(engine_->await_warm(of("a", "pass")));
  EXPECT_EQ(run_high(of("somebody", "pass")).report.start, Start::kCold);
}

TEST_F(WaitingGvisorTest, HasLibrariesLoaded) {
  const Task task = of("a", "import sys\nhad = 'numpy' in sys.modules\nimport numpy\nprint(had)");
  const auto& packages = engine_->environment().packages;
  if (std::none_of(packages.begin(), packages.end(),
                   [](const auto& package) { return package.first == "numpy"; })) {
    GTEST_SKIP() << "needs numpy in the base environment";
  }
  EXPECT_EQ(run_warm(task).out, "True\n");
}

// Each with a state directory of its own: an engine has its to itself.
class NoGvisorTest : public GvisorTest {
 protected:
  static Ran run_with(const std::string& runsc) {
    const fs::path state = make_temporary_directory();
    EngineOptions chosen = options(runsc);
    chosen.state_directory = state;
    auto engine = Engine::make(chosen);
    EXPECT_TRUE(engine) << engine.error().message;
    Ran ran = run(**engine, state / "artifacts", python("print('ran')"));
    engine->reset();
    fs::remove_all(state);
    return ran;
  }
  static void expect_refused(const Ran& ran, std::string_view why) {
    EXPECT_EQ(ran.report.outcome, Outcome::kNodeFailure);
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.report.detail.find(why), std::string::npos) << ran.report.detail;
  }
  // A program of this text in runsc's place.
  static std::string instead(const std::string& text) {
    static int count = 0;
    const fs::path path = state_ / fmt::format("runsc_{}", count++);
    EXPECT_TRUE(write_file(path, "#!/bin/sh\n" + text));
    chmod(path.c_str(), 0755);
    return path;
  }
};

TEST_F(NoGvisorTest, IsRefusedWithWhatIsMissingAndHowToGetIt) {
  const Ran ran = run_with("runsc_that_is_not_there");
  expect_refused(ran, "there is no program runsc_that_is_not_there");
  expect_refused(ran, "apt-get install runsc");
}

TEST_F(NoGvisorTest, IsRefusedWhenTooOld) {
  const Ran ran = run_with(instead("echo runsc version release-20200101.0"));
  expect_refused(ran, "20200101.0, expected 20221219.0 or newer");
}

TEST_F(NoGvisorTest, IsRefusedWhenItStartsNothing) {
  const Ran ran = run_with(instead(
      "if [ \"$1\" = --version ]; then echo runsc version release-20250101.0; else exit 1; fi"));
  expect_refused(ran, "starts no sandbox here: systrap: gVisor's sandbox ended");
}

// The job would run: under the machine's own kernel.
TEST_F(NoGvisorTest, IsRefusedWhenItIsNotGvisor) {
  const Ran ran = run_with(instead(R"(
if [ "$1" = --version ]; then echo runsc version release-20250101.0; exit; fi
while [ $# -gt 1 ]; do if [ "$1" = --pid-file ]; then printf %s $$ > "$2"; fi; shift; done
cd /run/bcai/root && mount --bind /dev dev && mount -t tmpfs none tmp
exec /usr/sbin/chroot . /usr/bin/python3 -I -S -B -u /opt/bcai/guest.py
)"));
  expect_refused(ran, "fails its self-test: high_guest_kernel");
}

// Of its self-test, below /run/bcai.
TEST_F(NoGvisorTest, KeepsOneNoteOfARunscThatChanges) {
  const std::string wrapper = instead("exec runsc \"$@\"");
  const auto notes = [&] {
    std::set<fs::path> found;
    for (const auto& entry : fs::directory_iterator("/run/bcai")) {
      if (!entry.path().filename().string().starts_with("high_")) continue;
      const auto text = read_file(entry.path());
      if (text && text->find(wrapper) != std::string::npos) found.insert(entry.path());
    }
    return found;
  };
  EXPECT_EQ(run_with(wrapper).out, "ran\n");
  const std::set<fs::path> kept = notes();
  ASSERT_EQ(kept.size(), 1U);
  const auto before = read_file(*kept.begin());
  ASSERT_TRUE(write_file(wrapper, "#!/bin/sh\n# another\nexec runsc \"$@\""));
  chmod(wrapper.c_str(), 0755);
  EXPECT_EQ(run_with(wrapper).out, "ran\n");
  EXPECT_EQ(notes(), kept);
  EXPECT_NE(*read_file(*kept.begin()), *before);
  fs::remove(*kept.begin());
}

}  // namespace
}  // namespace bcai::sandbox
