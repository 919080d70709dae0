// SPDX-License-Identifier: Apache-2.0
// Tries each limit and border on this machine with a task that goes against it.
#include <thread>

#include "sandbox/engine.h"

namespace bcai::sandbox {
namespace {

constexpr int64_t kMegabyte = 1'000'000;

struct Probe {
  const char* name;
  const char* code;
  void (*limit)(Limits*);  // null: the small limits as they are
  bool (*holds)(const Report& report, const std::string& output);
  const char* mend;             // when it does not hold
  bool needs_groups = false;    // on a busy machine it may seem to hold without
  bool standard_alone = false;  // the high level is tried otherwise, see kHighProbes
};

Limits small_limits() {
  Limits limits;
  limits.memory_bytes_max = 64 * kMegabyte;
  limits.disk_bytes_max = 8 * kMegabyte;
  limits.inodes_max = 200;
  limits.processes_max = 16;
  limits.wall_ms_max = 10'000;
  limits.output_bytes_max = 4096;
  limits.grace = Millis(0);
  return limits;
}

bool says_ok(const Report& report, const std::string& output) {
  return report.outcome == Outcome::kFinished && report.exit_code == 0 && output == "ok\n";
}

constexpr Probe kProbes[] = {
    {"start", "for d in ('/work', '/tmp', '/dev/shm'): open(d + '/x', 'w').close()\nprint('ok')",
     nullptr, says_ok, "read the detail: runc could not start a job"},
    {"memory", "x = bytearray(1_000_000_000)", nullptr,
     [](const Report& r, const std::string&) { return r.outcome == Outcome::kOutOfMemory; },
     "control groups with the memory controller are needed"},
    {"processes",
     "import os, time\n"
     "try:\n"
     "    for n in range(64):\n"
     "        if os.fork() == 0: time.sleep(60)\n"
     "finally: os._exit(3)\n",
     nullptr,
     [](const Report& r, const std::string&) { return r.outcome == Outcome::kOverProcesses; },
     "control groups with the pids controller are needed", false, true},
    {"cpu",
     "import time\n"
     "end = time.monotonic() + 0.6\n"
     "while time.monotonic() < end: pass\n"
     "print('ok' if time.process_time() < 0.4 else time.process_time())\n",
     [](Limits* limits) { limits->cpu_millicores = 300; }, says_ok,
     "control groups with the cpu controller are needed", true, true},
    {"wall", "import time; time.sleep(60)", [](Limits* limits) { limits->wall_ms_max = 200; },
     [](const Report& r, const std::string&) {
       return r.outcome == Outcome::kTimedOut && r.run_ms < 2000;
     },
     "the job's processes could not be ended in time"},
    {"disk",
     "try:\n"
     "    with open('/work/a', 'wb', 0) as f:\n"
     "        for _ in range(64): f.write(bytes(1_000_000))\n"
     "    print('wrote 64 MB')\n"
     "except OSError: print('ok')\n",
     [](Limits* limits) { limits->file_bytes_max = 64 * kMegabyte; }, says_ok,
     "run as root: only then is /work a file system of its own"},
    {"files",
     "try:\n"
     "    for n in range(1000): open(f'/work/{n}', 'w').close()\n"
     "    print('made 1000 files')\n"
     "except OSError: print('ok')\n",
     nullptr, says_ok, "run as root: only then is /work a file system of its own"},
    {"output", "print('x' * 100_000)", nullptr,
     [](const Report& r, const std::string& output) {
       return output.size() == 4096 && r.usage.output_bytes == 100'001 &&
              r.usage.output_bytes_dropped == 100'001 - 4096;
     },
     "the supervisor's own fault"},
    {"root_read_only",
     "import os\n"
     "for path in ('/usr/x', '/etc/passwd', '/opt/bcai/x', '/in/main.py', '/x'):\n"
     "    try: open(path, 'w'); print('wrote', path)\n"
     "    except OSError: pass\n"
     "for path in ('/root', '/home', '/var', '/sys', '/bin/sh', '/usr/bin/mount'):\n"
     "    if os.path.exists(path): print('sees', path)\n"
     "print('ok')\n",
     nullptr, says_ok, "the root holds what it should not: remove the roots directory", false,
     true},
    {"no_privileges",
     "status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())\n"
     "for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):\n"
     "    if int(status[name], 16): print(name, status[name])\n"
     "if int(status['NoNewPrivs']) != 1: print('may gain privileges')\n"
     "if status['Groups'].split(): print('groups', status['Groups'])\n"
     "print('ok')\n",
     nullptr, says_ok, "runc did not drop privileges", false, true},
    {"no_network",
     "import os\n"
     "links = [l.split(':')[0].strip() for l in open('/proc/net/dev').read().splitlines()[2:]]\n"
     "print('ok' if set(links) <= {'lo'} else links)\n",
     nullptr, says_ok, "network namespaces are needed"},
    {"system_calls",
     "seccomp = [l for l in open('/proc/self/status') if l.startswith('Seccomp:')]\n"
     "print('ok' if seccomp and seccomp[0].split()[1] == '2' else seccomp)\n",
     nullptr, says_ok, "the kernel and runc need seccomp", false, true},
    {"own_processes_only",
     "import os\n"
     "pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n"
     "print('ok' if len(pids) <= 4 else pids)\n",
     nullptr, says_ok, "pid namespaces are needed"},
};

// Where gVisor's kernel differs: its /proc says less, it has a /sys of its own, it counts processes
// and CPU time in its own way, and what limits them is on this machine.
constexpr Probe kHighProbes[] = {
    {"guest_kernel",
     "import ctypes, os\n"
     "log = ctypes.create_string_buffer(65536)\n"
     "ctypes.CDLL(None).klogctl(3, log, len(log))\n"
     "print('ok' if b'gVisor' in log.value else (os.uname(), log.value[:100]))\n",
     nullptr, says_ok, "runsc did not run the job in gVisor"},
    {"processes",
     "import os, time\n"
     "while True:\n"
     "    if os.fork() == 0: time.sleep(60)\n",
     nullptr,
     [](const Report& r, const std::string&) {
       return r.outcome == Outcome::kOverProcesses || r.outcome == Outcome::kOutOfMemory;
     },
     "control groups with the pids controller are needed"},
    {"cpu",
     "import time\n"
     "end = time.monotonic() + 1.5\n"
     "while time.monotonic() < end: pass\n",
     [](Limits* limits) { limits->cpu_millicores = 300; },
     [](const Report& r, const std::string&) {
       return r.outcome == Outcome::kFinished && r.usage.cpu_ms < 100 + (r.start_ms + r.run_ms) / 3;
     },
     "control groups with the cpu controller are needed"},
    {"root_read_only",
     "import os\n"
     "for path in ('/usr/x', '/etc/passwd', '/opt/bcai/x', '/in/main.py', '/x'):\n"
     "    try: open(path, 'w'); print('wrote', path)\n"
     "    except OSError: pass\n"
     "for path in ('/root', '/home', '/var', '/bin/sh', '/usr/bin/mount'):\n"
     "    if os.path.exists(path): print('sees', path)\n"
     "print('ok')\n",
     nullptr, says_ok, "the root holds what it should not: remove the roots directory"},
    {"no_privileges",
     "status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())\n"
     "for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd'):\n"
     "    if int(status[name], 16): print(name, status[name])\n"
     "if status['Groups'].split(): print('groups', status['Groups'])\n"
     "if set(status['Uid'].split()) != {'1000'}: print('user', status['Uid'])\n"
     "print('ok')\n",
     nullptr, says_ok, "runsc did not drop privileges"},
};

// A line for each probe and each kind of start.
struct Try {
  const Probe* probe;
  bool warm;
  std::string name() const { return warm ? std::string("warm_") + probe->name : probe->name; }
};

Task self_test_task(const std::string& name, bool warm) {
  Task task;
  task.id = "self_test_" + name;
  if (warm) task.tenant = "self_test";
  return task;
}

Task task_of(const Probe& probe, const std::string& name, bool warm) {
  Task task = self_test_task(name, warm);
  task.code = probe.code;
  task.imports_restricted = false;
  task.limits = small_limits();
  if (probe.limit) probe.limit(&task.limits);
  return task;
}

SelfTestLine line_of(const Probe& probe, const std::string& of, bool possible, const Report& report,
                     const std::string& output) {
  SelfTestLine line{.name = of, .holds = possible && probe.holds(report, output), .detail = ""};
  line.detail = line.holds ? std::string(name(report.outcome))
                           : fmt::format("{}; seen: {} {} {}", probe.mend, name(report.outcome),
                                         report.detail, output.substr(0, 300));
  return line;
}

Callbacks keep_output(std::string* output) {
  return {.on_started = {},
          .on_output = [output](Stream, std::string_view data) { output->append(data); },
          .on_message = {}};
}

SelfTestLine try_probe(Engine& engine, const Try& what, const std::filesystem::path& artifacts_to) {
  const Probe& probe = *what.probe;
  const Task task = task_of(probe, what.name(), what.warm);
  if (what.warm) (void)engine.await_warm(task);
  std::string output;
  Cancellation cancellation;
  const Report report = engine.run(task, artifacts_to, keep_output(&output), cancellation);
  const bool possible = (!probe.needs_groups || engine.host().cgroups != "none") &&
                        what.warm == (report.start != Start::kCold);
  return line_of(probe, what.name(), possible, report, output);
}

// Mostly waiting: two at a time, so that the CPU probe still gets what it asks for.
void two_at_a_time(size_t count, const std::function<void(size_t)>& work) {
  constexpr size_t kThreads = 2;
  std::vector<std::thread> threads;
  for (size_t first = 0; first < kThreads; first++) {
    threads.emplace_back([&, first] {
      for (size_t i = first; i < count; i += kThreads) work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

std::vector<SelfTestLine> run_self_test(Engine& engine, const std::filesystem::path& scratch) {
  std::vector<Try> tries;
  for (const Probe& probe : kProbes) tries.push_back({&probe, false});
  if (engine.await_warm(self_test_task("warm", true))) {
    for (const Probe& probe : kProbes) tries.push_back({&probe, true});
  }
  std::vector<SelfTestLine> lines(tries.size());
  two_at_a_time(tries.size(), [&](size_t i) {
    lines[i] = try_probe(engine, tries[i], scratch / tries[i].name());
  });
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  return lines;
}

std::vector<SelfTestLine> run_high_self_test(const RunTask& run,
                                             const std::filesystem::path& scratch) {
  std::vector<const Probe*> probes;
  for (const Probe& probe : kHighProbes) probes.push_back(&probe);
  for (const Probe& probe : kProbes) {
    if (!probe.standard_alone) probes.push_back(&probe);
  }
  std::vector<SelfTestLine> lines(probes.size());
  two_at_a_time(probes.size(), [&](size_t i) {
    const std::string name = fmt::format("high_{}", probes[i]->name);
    std::string output;
    Task task = task_of(*probes[i], name, false);
    task.level = SecurityLevel::kHigh;
    const Report report = run(task, scratch / name, keep_output(&output));
    lines[i] = line_of(*probes[i], name, true, report, output);
  });
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  return lines;
}

}  // namespace bcai::sandbox
