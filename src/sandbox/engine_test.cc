// SPDX-License-Identifier: Apache-2.0
// With the real runc. Skipped, visibly, where we are not root or there is none.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "sandbox/inspect.h"
#include "sandbox/sandbox.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kUidBase = 390'000;  // not the engine's own, so that a node may run beside us

EngineOptions options_at(const fs::path& state) {
  return {.state_directory = state, .uid_base = kUidBase, .cgroup_parent = "bcai_test"};
}

// Processes under any of our jobs' user ids, zombies too.
int job_processes() {
  int count = 0;
  std::error_code failed;
  for (fs::directory_iterator it("/proc", failed), end; !failed && it != end;
       it.increment(failed)) {
    struct stat info {};
    if (stat(it->path().c_str(), &info) != 0 || !isdigit(it->path().filename().c_str()[0])) {
      continue;
    }
    count += info.st_uid >= kUidBase && info.st_uid < kUidBase + 1000;
  }
  return count;
}

std::set<std::string> job_groups() {
  std::set<std::string> found;
  std::error_code failed;
  fs::recursive_directory_iterator it("/sys/fs/cgroup", failed);
  for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
    if (it->path().string().find("bcai_test/") != std::string::npos && it->is_directory(failed)) {
      found.insert(it->path());
    }
  }
  return found;
}

std::string mounts() {
  const auto text = read_file("/proc/self/mountinfo");
  return text ? *text : "";
}

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0 || inspect_host("runc").runtime.empty()) return;
    state_ = make_temporary_directory();
    auto made = Engine::make(options_at(state_));
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }
  static void TearDownTestSuite() {
    engine_.reset();
    if (!state_.empty()) fs::remove_all(state_);
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!engine_) GTEST_SKIP() << "needs runc";
    artifacts_ = make_temporary_directory();
  }
  void TearDown() override {
    if (!artifacts_.empty()) fs::remove_all(artifacts_);
  }

  static Task task(std::string code) {
    static std::atomic<int> count{0};
    Task task;
    task.id = fmt::format("t{}", count++);
    task.code = std::move(code);
    task.imports_restricted = false;
    task.limits.memory_bytes_max = 200'000'000;
    task.limits.disk_bytes_max = 20'000'000;
    task.limits.processes_max = 32;
    task.limits.wall_ms_max = 20'000;
    task.limits.grace = Millis(100);
    return task;
  }
  Ran run(const Task& t, Cancellation& cancellation) {
    return run_task(*engine_, t, artifacts_ / t.id, cancellation);
  }
  Ran run(const Task& t) {
    Cancellation cancellation;
    return run(t, cancellation);
  }

  static inline std::unique_ptr<Engine> engine_;
  static inline fs::path state_;
  fs::path artifacts_;
};

TEST_F(EngineTest, PrintsAndExits) {
  const Ran ran = run(task("import sys\nprint('out')\nprint('err', file=sys.stderr)\n"));
  EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << ran.report.detail;
  EXPECT_EQ(ran.report.exit_code, 0);
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(ran.started, 1);
  EXPECT_EQ(ran.report.usage.output_bytes, 8);
  EXPECT_GT(ran.report.usage.memory_peak_bytes, 1'000'000);
  EXPECT_GT(ran.report.usage.cpu_ms, 0);
}

TEST_F(EngineTest, ExitCodesAndSignals) {
  EXPECT_EQ(run(task("import sys; sys.exit(7)")).report.exit_code, 7);
  EXPECT_EQ(run(task("raise ValueError('x')")).report.exit_code, 1);
  EXPECT_EQ(run(task("import os; os._exit(3)")).report.exit_code, 3);
  const Ran killed = run(task("import os; os.kill(os.getpid(), 9)"));
  EXPECT_EQ(killed.report.outcome, Outcome::kFinished);
  EXPECT_EQ(killed.report.exit_code, 137);
  EXPECT_EQ(run(task("import ctypes; ctypes.string_at(0)")).report.exit_code, 139);
}

TEST_F(EngineTest, OutOfMemory) {
  const Ran ran = run(task("x = bytearray(10**9)"));
  EXPECT_EQ(ran.report.outcome, Outcome::kOutOfMemory) << ran.report.detail;
  EXPECT_LE(ran.report.usage.memory_peak_bytes, 200'000'000);
}

TEST_F(EngineTest, OutOfMemoryInAChildThatTheJobForgives) {
  const Ran ran = run(task("import os\nif os.fork() == 0: x = bytearray(10**9)\nos.wait()"));
  EXPECT_EQ(ran.report.outcome, Outcome::kOutOfMemory);
}

TEST_F(EngineTest, FilesCountAsMemory) {
  Task t = task("open('/tmp/a', 'wb').write(bytes(150_000_000))\nx = bytearray(100_000_000)");
  t.limits.disk_bytes_max = 190'000'000;
  EXPECT_EQ(run(t).report.outcome, Outcome::kOutOfMemory);
}

TEST_F(EngineTest, TimedOutWhileIgnoringSignals) {
  Task t = task("import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(100)");
  t.limits.wall_ms_max = 300;
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kTimedOut);
  EXPECT_GE(ran.report.usage.wall_ms, 300);
  EXPECT_LT(ran.report.overtime_ms, ran.report.run_ms);
  EXPECT_EQ(job_processes(), 0);
}

TEST_F(EngineTest, OverCpu) {
  Task t = task("while True: pass");
  t.limits.cpu_ms_max = 300;
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kOverCpu);
  EXPECT_GE(ran.report.usage.cpu_ms, 300);
}

TEST_F(EngineTest, OverProcesses) {
  const Ran ran =
      run(task("import os, time\n"
               "for _ in range(100):\n"
               "    if os.fork() == 0: time.sleep(100)\n"));
  EXPECT_EQ(ran.report.outcome, Outcome::kOverProcesses) << ran.report.exit_code;
  EXPECT_LE(ran.report.usage.processes_peak, 32);
  EXPECT_EQ(job_processes(), 0);
}

TEST_F(EngineTest, OutputCapIsExact) {
  Task t = task("import sys\nsys.stdout.write('x' * 300_000)\nsys.stderr.write('y' * 5000)");
  t.limits.output_bytes_max = 100'001;
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kFinished);
  EXPECT_EQ(ran.out.size() + ran.err.size(), 100'001u);
  EXPECT_EQ(ran.report.usage.output_bytes, 305'000);
  EXPECT_EQ(ran.report.usage.output_bytes_dropped, 305'000 - 100'001);
}

TEST_F(EngineTest, OverOutput) {
  Task t = task("import os\nwhile True: os.write(1, b'x' * 65536)");
  t.limits.output_bytes_max = 10;
  t.limits.output_bytes_kill = 3'000'000;
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kOverOutput);
  EXPECT_EQ(ran.out.size(), 10u);
}

TEST_F(EngineTest, PolicyViolationByAnotherArchitecturesNumbers) {
#if defined(__x86_64__)
  const Ran ran = run(
      task("import ctypes, mmap\n"
           "m = mmap.mmap(-1, 4096, prot=7)\n"
           "m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
           "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()\n"));
  EXPECT_EQ(ran.report.outcome, Outcome::kPolicyViolation) << ran.report.exit_code << ran.err;
#endif
}

TEST_F(EngineTest, DiskAndInodeCapsAreExact) {
  const Ran disk =
      run(task("import os\n"
               "n = 0\n"
               "try:\n"
               "    with open('a', 'wb', 0) as f:\n"
               "        while True: n += f.write(bytes(4096))\n"
               "except OSError as e: print(e.errno)\n"
               "print(n)\n"));
  // RLIMIT_FSIZE (EFBIG) or the file system (ENOSPC), whichever is met first.
  EXPECT_TRUE(disk.out.starts_with("28\n") || disk.out.starts_with("27\n")) << disk.out;
  EXPECT_LE(std::stoll(disk.out.substr(3)), 20'000'000);
  Task t = task(
      "try:\n"
      "    for n in range(1000): open(str(n), 'w').close()\n"
      "except OSError as e: print(e.errno, n)\n");
  t.limits.inodes_max = 100;
  const Ran inodes = run(t);
  EXPECT_TRUE(inodes.out.starts_with("28 ")) << inodes.out;
  EXPECT_LE(std::stoll(inodes.out.substr(3)), 100);
}

TEST_F(EngineTest, CancelEndsAForkingJobThatIgnoresSignals) {
  Task t = task(
      "import os, signal\n"
      "for n in range(1, 65):\n"
      "    try: signal.signal(n, signal.SIG_IGN)\n"
      "    except (OSError, ValueError): pass\n"
      "print('ready')\n"
      "while True:\n"
      "    try: os.fork()\n"
      "    except OSError: pass\n");
  Cancellation cancellation;
  std::thread canceller([&] {
    while (job_processes() < 20) std::this_thread::sleep_for(Millis(5));
    cancellation.cancel();
  });
  const Ran ran = run(t, cancellation);
  EXPECT_EQ(job_processes(), 0);
  canceller.join();
  EXPECT_EQ(ran.report.outcome, Outcome::kCancelled);
}

TEST_F(EngineTest, CancelledBeforeAndDuringTheStart) {
  Cancellation before;
  before.cancel();
  EXPECT_EQ(run(task("print(1)"), before).report.outcome, Outcome::kCancelled);
  for (int delay : {1, 10, 30}) {
    Cancellation cancellation;
    std::thread canceller([&] {
      std::this_thread::sleep_for(Millis(delay));
      cancellation.cancel();
    });
    EXPECT_EQ(run(task("import time; time.sleep(100)"), cancellation).report.outcome,
              Outcome::kCancelled);
    canceller.join();
    EXPECT_EQ(job_processes(), 0);
  }
}

TEST_F(EngineTest, FilesGoInAndArtifactsComeOut) {
  ASSERT_TRUE(write_file(artifacts_ / "data.csv", "1,2,3\n"));
  Task t = task(
      "import os\n"
      "text = open('sub/dir/data.csv').read()\n"
      "open('sub/dir/data.csv', 'a').write('more')\n"
      "os.makedirs('outputs/deep', exist_ok=True)\n"
      "open('outputs/deep/copy.csv', 'w').write(text)\n"
      "os.symlink('/etc/passwd', 'outputs/link')\n"
      "loss = 0.25\n");
  t.files = {{"sub/dir/data.csv", artifacts_ / "data.csv"}};
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kFinished) << ran.err;
  EXPECT_EQ(ran.report.exit_code, 0) << ran.err;
  ASSERT_EQ(ran.report.artifacts.size(), 1u);
  EXPECT_EQ(ran.report.artifacts[0].name, "outputs/deep/copy.csv");
  EXPECT_EQ(ran.report.artifacts[0].sha256.text(), Sha256::of("1,2,3\n").text());
  ASSERT_EQ(ran.report.left_out.size(), 1u);
  EXPECT_EQ(ran.report.left_out[0].name, "outputs/link");
  const auto outputs = parse_json(ran.report.outputs_json);
  ASSERT_TRUE(outputs) << ran.report.outputs_json;
  EXPECT_EQ(outputs->at("outputs").at("loss").as_double(), 0.25);
}

TEST_F(EngineTest, TheCodeIsAFileOfTheJob) {
  Task t = task(
      "import os\n"
      "source = open(__file__).read()\n"
      "path = os.path.abspath(__file__)\n"
      "open(__file__, 'w').write('nothing')\n"
      "os.remove(__file__)\n"
      "1 / 0\n");
  t.filename = "tools/train.py";
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.exit_code, 1);
  EXPECT_NE(ran.err.find("File \"tools/train.py\", line 6, in <module>\n    1 / 0\n"),
            std::string::npos)
      << ran.err;
  EXPECT_TRUE(ran.report.artifacts.empty());
  const auto outputs = parse_json(ran.report.outputs_json);
  ASSERT_TRUE(outputs) << ran.report.outputs_json;
  EXPECT_EQ(outputs->at("outputs").at("path").as_string(), "/work/tools/train.py");
  EXPECT_EQ(outputs->at("outputs").at("source").as_string(), t.code);
}

TEST_F(EngineTest, MessagesOfProgress) {
  const Ran ran =
      run(task("import bcai\nbcai.progress(0.5, 'half')\nbcai.log_metric('loss', 1.0)"));
  ASSERT_EQ(ran.messages.size(), 2u) << ran.err;
  EXPECT_NE(ran.messages[0].find("progress"), std::string::npos);
  EXPECT_NE(ran.messages[1].find("metric"), std::string::npos);
}

TEST_F(EngineTest, SeveralAtOnceDoNotMeet) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const Ran ran =
          run(task(fmt::format("import os, time\n"
                               "open('/tmp/x{0}', 'w').close()\n"
                               "open('/dev/shm/x{0}', 'w').close()\n"
                               "time.sleep(0.2)\n"
                               "print(os.listdir('/tmp'), os.listdir('/dev/shm'))",
                               i)));
      EXPECT_EQ(ran.out, fmt::format("['x{0}'] ['x{0}']\n", i));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EngineTest, DaemonsAndStoppedProcessesDoNotOutliveTheJob) {
  const Ran ran =
      run(task("import os, time\n"
               "for _ in range(5):\n"
               "    if os.fork() == 0:\n"
               "        os.setsid()\n"
               "        if os.fork() == 0: os.kill(os.getpid(), 19)\n"
               "        time.sleep(1000)\n"));
  EXPECT_EQ(ran.report.outcome, Outcome::kFinished);
  EXPECT_EQ(job_processes(), 0);
}

TEST_F(EngineTest, InvalidTasksAreRefusedWithoutATrace) {
  Task t = task("print(1)");
  t.id = "../../x";
  const Ran ran = run(t);
  EXPECT_EQ(ran.report.outcome, Outcome::kNodeFailure);
  EXPECT_NE(ran.report.detail.find("task id"), std::string::npos);
}

TEST_F(EngineTest, OneEngineForAStateDirectory) {
  const auto second = Engine::make(options_at(state_));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(EngineTest, SelfTestHolds) {
  const auto lines = engine_->self_test();
  EXPECT_GE(lines.size(), 10u);
  for (const SelfTestLine& line : lines)
    EXPECT_TRUE(line.holds) << line.name << ": " << line.detail;
}

TEST_F(EngineTest, NothingIsLeftAfterwards) {
  const fs::path state = make_temporary_directory();
  const std::string mounts_before = mounts();
  const auto groups_before = job_groups();
  {
    auto engine = Engine::make(options_at(state));
    ASSERT_TRUE(engine) << engine.error().message;
    EXPECT_EQ((*engine)->environment().python_version.substr(0, 2), "3.");
    Cancellation cancellation;
    (*engine)->run(task("print(1)"), artifacts_ / "x", {}, cancellation);
    EXPECT_EQ(mounts(), mounts_before);
    EXPECT_TRUE(fs::is_empty(state / "runc"));
    EXPECT_TRUE(fs::is_empty(state / "bundles"));
  }
  EXPECT_EQ(job_groups(), groups_before);
  EXPECT_EQ(mounts(), mounts_before);
  EXPECT_EQ(job_processes(), 0);
  fs::remove_all(state);
}

TEST_F(EngineTest, SweepsAfterAnEngineThatWasKilled) {
  const fs::path state = make_temporary_directory();
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto engine = Engine::make(options_at(state));
    Cancellation cancellation;
    if (engine) {
      (*engine)->run(
          task("import os\nos.fork()\nprint(1)\nwhile True: pass"), state / "x",
          {.on_started = {},
           .on_output = [&](Stream, std::string_view) { (void)!write(ready[1], "r", 1); },
           .on_message = {}},
          cancellation);
    }
    _exit(1);
  }
  close(ready[1]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_GE(job_processes(), 2);
  const auto groups = job_groups();
  auto engine = Engine::make(options_at(state));
  ASSERT_TRUE(engine) << engine.error().message;
  // They became our children when their parent died: the subreaper is us. Nobody else waits.
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  EXPECT_EQ(job_processes(), 0);
  EXPECT_LT(job_groups().size(), groups.size());
  EXPECT_TRUE(fs::is_empty(state / "runc"));
  EXPECT_TRUE(fs::is_empty(state / "bundles"));
  Cancellation cancellation;
  EXPECT_EQ((*engine)->run(task("print(1)"), artifacts_ / "y", {}, cancellation).outcome,
            Outcome::kFinished);
  engine->reset();
  fs::remove_all(state);
}

TEST_F(EngineTest, ARuntimeThatFailsIsTheNodesFailure) {
  const fs::path state = make_temporary_directory();
  {
    std::ofstream script(state / "runc");
    script << "#!/bin/sh\nif [ \"$1\" = --version ]; then echo runc version 1.1.5; exit 0; fi\n"
              "echo '{\"msg\":\"no space for miracles\"}' > \"$4\"\nexit 1\n";
  }
  fs::permissions(state / "runc", fs::perms::owner_all);
  EngineOptions options = options_at(state / "state");
  options.runc = state / "runc";
  auto engine = Engine::make(options);
  ASSERT_TRUE(engine) << engine.error().message;
  Cancellation cancellation;
  const Report report = (*engine)->run(task("print(1)"), artifacts_ / "x", {}, cancellation);
  EXPECT_EQ(report.outcome, Outcome::kNodeFailure);
  EXPECT_NE(report.detail.find("no space for miracles"), std::string::npos) << report.detail;
  engine->reset();
  fs::remove_all(state);
}

TEST_F(EngineTest, WithoutSeccompTheKernelIsOpen) {
  const fs::path state = make_temporary_directory();
  EngineOptions options = options_at(state);
  options.seccomp = false;
  auto engine = Engine::make(options);
  ASSERT_TRUE(engine) << engine.error().message;
  const std::string code =
      "import ctypes\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "print(libc.unshare(0x10000000))\n";  // CLONE_NEWUSER
  Cancellation cancellation;
  std::string open_output;
  (*engine)->run(task(code), artifacts_ / "x",
                 {.on_started = {},
                  .on_output = [&](Stream, std::string_view d) { open_output.append(d); },
                  .on_message = {}},
                 cancellation);
  EXPECT_EQ(open_output, "0\n");
  EXPECT_EQ(run(task(code)).out, "-1\n");
  engine->reset();
  fs::remove_all(state);
}

TEST_F(EngineTest, AnOverlayComesBeforeTheBaseAndCannotBeWritten) {
  const fs::path overlay = artifacts_ / "overlay";
  fs::create_directories(overlay);
  ASSERT_TRUE(write_file(overlay / "added.py", "value = 42\n"));
  Task t = task(
      "import added, os, sys\n"
      "base = [p for p in sys.path if p.startswith('/opt/venv')][0]\n"
      "print(added.value, added.__file__, sys.path.index('/opt/environment') <"
      " sys.path.index(base))\n"
      "for name in ('added.py', 'more.py'):\n"
      "    try: open('/opt/environment/' + name, 'w')\n"
      "    except OSError as e: print(e.errno)\n"
      "flags = os.statvfs('/opt/environment').f_flag\n"
      "print(bool(flags & os.ST_RDONLY), bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV))\n");
  t.overlay = overlay;
  EXPECT_EQ(run(t).out, "42 /opt/environment/added.py True\n30\n30\nTrue True True\n");
  EXPECT_EQ(run(task("import sys; print('/opt/environment' in sys.path)")).out, "False\n");
}

// Answers each connection with what it said, in capitals.
class Shouter {
 public:
  explicit Shouter(const fs::path& socket_path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path.c_str());
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_.get(), 16), 0);
    chmod(socket_path.c_str(), 0666);
    thread_ = std::thread([this] {
      while (true) {
        const UniqueFd peer(accept(fd_.get(), nullptr, nullptr));
        if (!peer) return;
        char text[64];
        const ssize_t got = read(peer.get(), text, sizeof text);
        for (ssize_t i = 0; i < got; ++i) text[i] = static_cast<char>(toupper(text[i]));
        if (got > 0) (void)!write(peer.get(), text, static_cast<size_t>(got));
      }
    });
  }
  ~Shouter() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  UniqueFd fd_;
  std::thread thread_;
};

TEST_F(EngineTest, AProxyIsAllThatATaskWithOneReaches) {
  const fs::path directory = artifacts_ / "p";
  fs::create_directories(directory);
  const Shouter shouter(directory / "proxy");
  const std::string code =
      "import os, socket\n"
      "print(os.environ['HTTPS_PROXY'], os.environ['no_proxy'])\n"
      "for word in (b'one', b'two'):\n"
      "    with socket.create_connection(('127.0.0.1', 3128)) as s:\n"
      "        s.sendall(word); s.shutdown(socket.SHUT_WR); print(s.recv(64).decode())\n"
      "for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_VSOCK, socket.AF_PACKET):\n"
      "    try: socket.socket(family, socket.SOCK_DGRAM); print('made', family)\n"
      "    except OSError as e: print(e.errno, end=' ')\n"
      "try: socket.create_connection(('192.0.2.1', 80), 1); print('connected')\n"
      "except OSError as e: print(e.errno)\n";
  Task t = task(code);
  t.proxy = directory;
  const Ran ran = run(t);
  EXPECT_EQ(ran.out, "http://127.0.0.1:3128 localhost,127.0.0.1\nONE\nTWO\n1 1 1 1 101\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(run(task("import socket; socket.socket(socket.AF_INET)")).report.exit_code, 1);
}

}  // namespace
}  // namespace bcai::sandbox
