// SPDX-License-Identifier: Apache-2.0
// Warm starts with the real runc: a task's result is that of a cold start, whatever it is. Skipped,
// visibly, where we are not root or there is no runc.
#include "sandbox/zygote/zygote.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/file.h"
#include "sandbox/inspect.h"
#include "sandbox/pidfd.h"
#include "sandbox/sandbox.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr const char* kZygoteTestGroup = "bcai_zygote_test";

class ZygoteTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0 || inspect_host("runc").runtime.empty()) return;
    state_ = make_temporary_directory();
    auto made = Engine::make({.state_directory = state_,
                              .uid_base = 392'000,
                              .cgroup_parent = kZygoteTestGroup,
                              .warm_starts = true});
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }
  static void TearDownTestSuite() {
    engine_.reset();
    if (state_.empty()) return;
    EXPECT_TRUE(groups().empty());
    fs::remove_all(state_);
  }
  void SetUp() override {
    if (!engine_) GTEST_SKIP() << "needs root and runc";
  }

  static Task task(std::string code) {
    static int count = 0;
    Task task;
    task.id = fmt::format("w{}", count++);
    task.tenant = "test";
    task.code = std::move(code);
    task.limits.memory_bytes_max = 200'000'000;
    task.limits.disk_bytes_max = 20'000'000;
    task.limits.wall_ms_max = 20'000;
    task.limits.grace = Millis(100);
    return task;
  }

  static Ran run(const Task& task) {
    return run_task(*engine_, task, state_ / "artifacts" / task.id);
  }

  // Warm, or the test has failed.
  static Ran run_warm(const Task& task) {
    const auto warm = engine_->await_warm(task);
    EXPECT_TRUE(warm) << warm.error().message;
    Ran ran = run(task);
    EXPECT_EQ(ran.report.start, Start::kWarm);
    return ran;
  }

  static std::set<std::string> groups() {
    std::set<std::string> found;
    std::error_code failed;
    fs::recursive_directory_iterator it("/sys/fs/cgroup", failed);
    for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
      const std::string path = it->path();
      if (path.find(std::string(kZygoteTestGroup) + "/") != std::string::npos &&
          it->is_directory(failed) && path.find("_", path.rfind('/')) != std::string::npos) {
        found.insert(path);
      }
    }
    return found;
  }

  // The zygotes' process numbers, as runc noted them.
  static std::vector<pid_t> zygotes() {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator(state_ / "bundles")) {
      if (!entry.path().filename().string().starts_with("zygote_")) continue;
      const auto text = read_file(entry.path() / "pid");
      if (const auto pid = text ? parse_number(*text) : std::nullopt) {
        found.push_back(static_cast<pid_t>(*pid));
      }
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  static inline std::unique_ptr<Engine> engine_;
  static inline fs::path state_;
};

TEST_F(ZygoteTest, AWarmStartEndsAsAColdOne) {
  struct Case {
    const char* code;
    bool restricted = true;
    std::vector<std::pair<std::string, std::string>> environment{};
  };
  const Case cases[] = {
      {"print('hello'); x = {'a': [1, 2.5]}; y = 'text'"},
      {"import sys\nprint('to stderr', file=sys.stderr)\nsys.exit(3)"},
      {"def f():\n    raise ValueError('wrong')\nf()"},
      {"print(1"},
      {"import os; os._exit(7)"},
      {"import os, signal; os.kill(os.getpid(), signal.SIGKILL)"},
      {"import subprocess"},
      {"import ctypes"},
      {"import sys, os\nprint(os.getcwd(), sys.argv, sys.path, __file__, __name__, sys.flags)"},
      {"import os\nprint(sorted(os.environ.items()), os.getenv('SEED'))", true, {{"SEED", "7"}}},
      {"import ctypes as c\nget = c.CDLL(None).getenv\nget.restype = "
       "c.c_char_p\nprint(get(b'SEED'))",
       false,
       {{"SEED", "7"}}},
      {"import os, pwd\nprint(os.getuid(), os.getgid(), os.getgroups(), "
       "pwd.getpwuid(os.getuid()))"},
      {"import os\nopen('outputs/a.txt', "
       "'w').write('text')\nprint(os.stat('outputs/a.txt').st_mode, "
       "os.listdir('.'), os.listdir('/in'), os.umask(0))"},
      {"import resource as r\nprint([r.getrlimit(n) for n in range(16)])", false},
      {"print([l for l in open('/proc/self/status').read().splitlines()\n"
       "       if l.startswith(('Cap', 'NoNew', 'Seccomp:', 'Uid', 'Gid', 'Groups', 'Sig', "
       "'Umask'))])"},
      {"import os\nprint(sorted(os.listdir('/dev')), os.uname().nodename)"},
      {"import os\nprint([os.statvfs(p)[:3] for p in ('/work', '/tmp', '/dev/shm')])"},
      {"import multiprocessing as m\ndef f(x): return x * x\n"
       "if __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(f, range(5)))",
       false},
      {"import bcai\nbcai.output('z', 5)\nbcai.progress(0.5)"},
      {"import traceback, linecache\nprint(linecache.getline('main.py', 1))"},
      {"import atexit\natexit.register(print, 'at exit')"},
      {"f = open('left.txt', 'w'); f.write('not closed')\nimport os\nos.dup(f.fileno())"},
      {"import random, uuid\nprint(len({random.random(), random.random()}))"},
  };
  for (const Case& one : cases) {
    Task asked = task(one.code);
    asked.environment = one.environment;
    asked.imports_restricted = one.restricted;
    const Ran warm = run_warm(asked);
    asked.tenant = "";
    const Ran cold = run(asked);
    EXPECT_EQ(cold.report.start, Start::kCold);
    EXPECT_EQ(warm.out, cold.out) << one.code;
    EXPECT_EQ(warm.err, cold.err) << one.code;
    EXPECT_EQ(warm.report.outcome, cold.report.outcome) << one.code;
    EXPECT_EQ(warm.report.exit_code, cold.report.exit_code) << one.code;
    EXPECT_EQ(warm.report.detail, cold.report.detail) << one.code;
    EXPECT_EQ(warm.report.outputs_json, cold.report.outputs_json) << one.code;
    EXPECT_EQ(warm.report.artifacts.size(), cold.report.artifacts.size()) << one.code;
  }
}

TEST_F(ZygoteTest, NothingRandomIsShared) {
  std::set<std::string> seen;
  for (int i = 0; i < 5; i++) {
    seen.insert(run_warm(task("import random, os, uuid\n"
                              "print(random.random(), os.urandom(4), uuid.uuid4())"))
                    .out);
  }
  EXPECT_EQ(seen.size(), 5u);
}

TEST_F(ZygoteTest, TheJobsOwnModuleGoesBeforeAPreloadedOne) {
  const fs::path file = state_ / "ctypes.py";
  ASSERT_TRUE(write_file(file, "value = 'own'\n"));
  Task asked = task("import ctypes\nprint(ctypes.value)");
  asked.files = {{"ctypes.py", file}};
  EXPECT_EQ(run_warm(asked).out, "own\n");
}

TEST_F(ZygoteTest, AnOverlayIsTheJobsAndAnotherOneAnothers) {
  const fs::path overlay = state_ / "overlay";
  Task asked = task("import added, sys\nprint(added.value, added.__file__, sys.path[-2:])");
  asked.overlay = overlay;
  asked.allowed_imports = {"added"};
  for (const char* value : {"1", "2"}) {  // removed and made again under the same path
    fs::remove_all(overlay);
    fs::create_directories(overlay);
    ASSERT_TRUE(write_file(overlay / "added.py", fmt::format("value = {}\n", value)));
    asked.tenant = "test";
    const Ran warm = run_warm(asked);
    asked.tenant = "";
    EXPECT_EQ(warm.out, run(asked).out);
    EXPECT_EQ(warm.out.substr(0, 2), fmt::format("{} ", value)) << warm.err;
  }
}

TEST_F(ZygoteTest, TenantsDoNotShareAZygote) {
  Task asked = task("print(id(object))\nprint(hash('x'))");
  const std::string first = run_warm(asked).out;
  EXPECT_EQ(run_warm(asked).out, first);  // one zygote's children share its addresses
  asked.tenant = "other";
  EXPECT_NE(run_warm(asked).out, first);
}

TEST_F(ZygoteTest, AKilledZygoteLosesNoJob) {
  const Task asked = task("print('ran')");
  ASSERT_TRUE(engine_->await_warm(asked));
  for (const pid_t pid : zygotes()) {
    const UniqueFd zygote(open_pidfd(pid));
    send_signal(zygote.get(), SIGKILL);
    pollfd ended{.fd = zygote.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&ended, 1, 5000), 1);
  }
  // Its children are gone with it: whatever comes starts otherwise.
  for (int i = 0; i < 3; i++) {
    const Ran ran = run(asked);
    EXPECT_EQ(ran.out, "ran\n");
    EXPECT_EQ(ran.report.outcome, Outcome::kFinished);
  }
  EXPECT_EQ(run_warm(asked).out, "ran\n");
}

TEST_F(ZygoteTest, AKilledZygoteUnderARunningJobIsTheNodesFailure) {
  const Task asked = task("import time\nprint('begun', flush=True)\ntime.sleep(20)");
  ASSERT_TRUE(engine_->await_warm(asked));
  std::thread killer([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    for (const pid_t pid : zygotes()) kill(pid, SIGKILL);
  });
  const Ran ran = run(asked);
  killer.join();
  EXPECT_EQ(ran.out, "begun\n");
  EXPECT_EQ(ran.report.outcome, Outcome::kNodeFailure);
}

TEST_F(ZygoteTest, ZygotesAreReplacedAfterTheirNumber) {
  Task asked = task("print(hash('x'))");
  asked.tenant = "many";
  std::set<std::string> seen;
  ASSERT_TRUE(engine_->await_warm(asked));
  for (uint32_t i = 0; i < Zygote::kChildrenMax + 20; i++) {
    // However slow the machine: its successor is loaded before it is spent.
    if (i == Zygote::kChildrenMax * 3 / 4) {
      ASSERT_TRUE(engine_->await_warm(asked));
    }
    const Ran ran = run(asked);
    EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail;
    EXPECT_NE(ran.report.start, Start::kCold) << "job " << i;  // its successor is there
    seen.insert(ran.out);
  }
  EXPECT_GE(seen.size(), 2u);
  EXPECT_LE(seen.size(), 3u);
}

TEST_F(ZygoteTest, OneKeyMoreThanThereIsRoomForTakesThePlaceOfTheOldest) {
  std::set<std::string> seen;
  for (int tenant = 0; tenant < 9; tenant++) {
    Task asked = task("print(hash('x'))");
    asked.tenant = fmt::format("nine_{}", tenant);
    seen.insert(run_warm(asked).out);
  }
  EXPECT_EQ(seen.size(), 9u);
  for (int tries = 0; tries < 100 && zygotes().size() > 8; tries++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::vector<pid_t> loaded = zygotes();
  EXPECT_EQ(loaded.size(), 8u);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_EQ(zygotes(), loaded) << "the oldest was loaded again, and took a place in its turn";
}

}  // namespace
}  // namespace bcai::sandbox
