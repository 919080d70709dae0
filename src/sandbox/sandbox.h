// SPDX-License-Identifier: Apache-2.0
// Runs one untrusted program, Python or a command of our own, and says what became of it, from
// kernel facts alone. Knows nothing of jobs, networks or money.
//
//   VALIDATE → ACQUIRE (slot uid, cgroup, work directory) → START (runc) → RUN →
//   KILL ALL → VERIFY EMPTY → READ COUNTERS → COLLECT → DESTROY
//
// Level `standard`: runc with user, pid, mount, network, ipc, uts and cgroup namespaces, a seccomp
// allow-list, no capabilities, a read-only root made for the purpose, cgroup limits.
// Level `high`: gVisor's runsc. The job's system calls are answered by a kernel of its own that
// runs as a process without rights; the same root and cgroup limits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"

namespace bcai::sandbox {

struct Limits {
  int64_t memory_bytes_max = 2'000'000'000;  // anonymous memory, page cache and the job's files
  int64_t disk_bytes_max = 1'000'000'000;    // of /work; /tmp and /dev/shm have as much
  int64_t inodes_max = 100'000;
  int64_t processes_max = 256;  // and threads
  int64_t open_files_max = 1024;
  int64_t cpu_millicores = 1000;  // quota
  int64_t cpu_ms_max = 0;         // CPU time in all; 0 is none
  int64_t wall_ms_max = 3'600'000;
  int64_t file_bytes_max = 0;                  // of one file; 0 is disk_bytes_max
  int64_t output_bytes_max = 10'000'000;       // kept of stdout and stderr together
  int64_t output_bytes_kill = 640'000'000;     // written: the job is ended, "over_output"
  int64_t artifacts_max = 64;                  // files below outputs/
  int artifact_depth_max = 8;                  // directories on the way to one
  int64_t artifact_bytes_max = 1'000'000'000;  // of all of them
  int64_t carried_bytes_max = 64'000'000;      // of tensors and arrays among the outputs
  int64_t denied_calls_max = 10;               // as many end a job whose calls are counted
  Millis grace{2'000};                         // SIGTERM to SIGKILL at the wall limit
};

enum class SecurityLevel : uint8_t { kStandard, kHigh };
std::string_view name(SecurityLevel level);  // "standard", "high"

// Put into /work before the start, owned by the job.
struct InputFile {
  std::string path;              // relative; checked by the caller
  std::filesystem::path source;  // on the host
};

struct Task {
  std::string id;  // [a-z0-9_]{1,64}, unique among those that run
  // Whose it is. A warm start shares its zygote with tasks of the same tenant alone; "" starts
  // cold.
  std::string tenant;
  // High runs as that or not at all; for Python alone.
  SecurityLevel level = SecurityLevel::kStandard;
  std::string code;                  // Python, UTF-8
  std::string filename = "main.py";  // of the code in /work; relative, checked by the caller
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  // Environment variables, UTF-8 without NUL, that the runner sets in the task's process and that
  // stand nowhere else: no file, no argument, no other environment. Their values are taken out of
  // what the task writes (mask.h); a file that holds one is left out. None of a native task.
  std::vector<std::pair<std::string, std::string>> secrets;
  std::vector<InputFile> files;
  bool imports_restricted = true;
  std::vector<std::string> allowed_imports;
  // Not empty: instead of Python, EngineOptions::native_program with these arguments, in a root
  // that holds it and its shared libraries and no Python. What concerns Python alone is ignored.
  std::vector<std::string> native;
  // Site-packages that the task adds to the base, mounted read-only at /opt/environment and looked
  // at before the base's; "" for none.
  std::filesystem::path overlay;
  // A directory with a unix socket named "proxy": of an outgoing HTTP proxy, which the task finds
  // at http://127.0.0.1:3128 and in HTTP_PROXY and its like. "": the task reaches nothing.
  std::filesystem::path proxy;
  Limits limits;
};

enum class Outcome : uint8_t {
  kFinished,
  kOutOfMemory,
  kTimedOut,
  kOverCpu,
  kOverOutput,
  kOverProcesses,
  kCancelled,
  kPolicyViolation,
  kNodeFailure,
};
std::string_view name(Outcome outcome);  // "finished", "out_of_memory", …

// What the task's process was when the task came.
enum class Start : uint8_t {
  kCold,    // not there: runc started it
  kForked,  // a zygote had its libraries loaded, and forked it then
  kWarm,    // it waited
};
std::string_view name(Start start);  // "cold", "forked", "warm"

enum class Stream : uint8_t { kStdout, kStderr };

struct Usage {
  int64_t wall_ms = 0;
  int64_t cpu_ms = 0;
  int64_t memory_peak_bytes = 0;
  int64_t processes_peak = 0;
  int64_t output_bytes = 0;
  int64_t output_bytes_dropped = 0;
};

// A regular file that the job left. Copied out of the job's reach and hashed on the way.
struct Artifact {
  std::string name;  // "outputs/…", its path in /work; or "outputs.safetensors", the tensors
  std::filesystem::path path;
  Sha256 sha256;
  int64_t bytes = 0;
};

struct LeftOut {
  std::string name;
  std::string reason;
};

struct Report {
  Outcome outcome = Outcome::kNodeFailure;
  int exit_code = 0;   // 128 + n when ended by signal n
  std::string detail;  // one sentence for the user
  Usage usage;
  // System calls that only an attack or a mistake makes, by name; refused. Nothing: they were not
  // counted, at the high level and where Host::advice says so.
  std::optional<std::map<std::string, int64_t>> denied_calls;
  uint32_t uid = 0;  // its user's, on this machine
  Start start = Start::kCold;
  std::string runtime;  // that it ran under: "runc 1.1.5", "runsc 20221219.0 (ptrace)"
  std::string
      self_test;  // that this level passed: "2026-11-23T08:12:01Z, 12 of 12 hold"; high alone
  int64_t start_ms = 0;      // run() called → the runner's first sign of life
  int64_t run_ms = 0;        // → every process gone
  int64_t overtime_ms = 0;   // of run_ms: after the moment at which it had to be killed
  int64_t collect_ms = 0;    // → collected and destroyed
  std::string outputs_json;  // the runner's outputs.json, as the job left it: untrusted, ≤ 16 MiB
  std::vector<Artifact> artifacts;
  std::vector<LeftOut> left_out;  // what the collector refused, and why
};

struct Callbacks {
  std::function<void()> on_started;  // the runner is alive
  // In order, at most output_bytes_max in all. Any bytes.
  std::function<void(Stream stream, std::string_view data)> on_output;
  // One line of JSON from inside, ≤ 64 KiB, at most 100 a second: {"progress": …}, {"metric": …}.
  // A hint for people: the job can write what it likes.
  std::function<void(std::string_view line)> on_message;
};

// Thread-safe; may be asked before, while and after.
class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;
  void cancel();
  bool cancelled() const;
  int event_fd() const { return fd_; }

 private:
  int fd_;
};

struct EngineOptions {
  std::filesystem::path state_directory;    // roots, bundles; made when absent
  std::string python = "/usr/bin/python3";  // the interpreter of the base environment
  std::string native_program;               // of this machine; "": there are no native tasks
  std::string runc = "runc";
  std::string runsc = "runsc";  // looked for when a task asks for the high level
  int slots_max = 64;           // uid ranges from uid_base on
  uint32_t uid_base = 300'000;
  std::string cgroup_parent = "bcai";  // below the hierarchies' roots or our own cgroup
  bool seccomp = true;                 // false only in the tests that prove it matters
  // Keeps zygotes for what it has seen, where the host can (README.md of zygote/). For a process
  // that lives long: the first task of a kind starts cold, and its zygote is loaded beside it.
  bool warm_starts = false;
  int waiting_max = 32;  // processes of a zygote that wait; 0: each is forked when its task comes
};

struct SelfTestLine {
  std::string name;
  bool holds = false;
  std::string detail;  // what was seen, or what is missing and the command that mends it
};

struct BaseEnvironment {
  std::string python_version;                                 // "3.11.2"
  std::vector<std::pair<std::string, std::string>> packages;  // name, version
};

// What this machine lets a sandbox do.
struct Host {
  std::string runtime;  // "runc 1.1.5"
  std::string cgroups;  // "v2", "v1", "hybrid", "none"
  bool rootless = false;
  std::vector<std::string> lacking;  // a sentence each, with what mends it
  std::vector<std::string> advice;   // what works, and could be better
  // Of inspect_host alone: the runtime of the high level, or why there is none, with what mends it.
  // Nothing was started with it: Engine::high() knows more.
  std::string high_runtime;  // "runsc 20221219.0"
  std::string high_lacking;
};

// The high level as an engine has it.
struct HighLevel {
  std::string runtime;    // "runsc 20221219.0 (ptrace)"
  std::string self_test;  // when it was passed: "2026-11-23T08:12:01Z, 12 of 12 hold"
};

class Engine {
 public:
  // Builds the root from the interpreter when its key is new (a few seconds, once), and sweeps what
  // an earlier process left under state_directory: processes, cgroups, mounts, directories.
  // One engine per state_directory (a lock file); kFailedPrecondition names what is missing.
  static Result<std::unique_ptr<Engine>> make(EngineOptions options);
  ~Engine();

  // Blocks until the task and everything it started is gone and its outputs are in `artifacts_to`.
  // Any number of threads. Callbacks come from the calling thread.
  Report run(const Task& task, const std::filesystem::path& artifacts_to,
             const Callbacks& callbacks, Cancellation& cancellation);

  // Blocks until a task like this one would start warm. kUnavailable, with the reason, when it
  // would not; tests and benchmarks ask.
  Result<void> await_warm(const Task& task);

  // Runs a handful of tasks that try each limit and border. About two seconds.
  std::vector<SelfTestLine> self_test();

  // Whether tasks of the high level run here. The first call tries each limit and border with a
  // task inside gVisor, some five seconds; the answer is remembered until the machine starts again
  // or something that it depends on changes. An Error says what is missing and what mends it.
  Result<HighLevel> high();

  const Host& host() const;
  const BaseEnvironment& environment() const;

  struct Impl;

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Inspects without changing anything; for `bcai doctor`.
Host inspect_host(const std::string& runc, const std::string& runsc = "runsc");

}  // namespace bcai::sandbox
