// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/rerun.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include "base/clip.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/units.h"
#include "coordinator/programs/answer.h"
#include "protocol/program_exit.h"

namespace bcai::coordinator {
namespace fs = std::filesystem;
namespace {

constexpr rlim_t kAddressBytesBeyond = rlim_t{4} << 30;  // stacks, libraries, mapped weights
constexpr rlim_t kWrittenFileBytesMax = rlim_t{8} << 30;
constexpr int64_t kErrorBytesMax = 64 << 10;
constexpr Millis kLook{200};

struct Limits {
  rlim_t address_bytes = 0;
  rlim_t cpu_s = 0;
};

struct Command {
  const char* path;
  char* const* arguments;
  char* const* environment;
  const char* directory;
  int stderr_fd;
  Limits limits;
};

void limit(int resource, rlim_t value) {
  const rlimit bound{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &bound) != 0) _exit(126);
}

// When memory is short the kernel ends the re-run, and not the coordinator.
void be_first_to_go() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "1000", 4) != 4) _exit(126);
  close(file);
}

// No network, and no rights over this machine. Root may have the first without the second, where
// the kernel allows nobody a user namespace.
void leave_the_network() {
  constexpr int kApart = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if (unshare(CLONE_NEWUSER | kApart) == 0 || unshare(kApart) == 0) return;
  constexpr std::string_view kWhy =
      "bcai: error: this kernel gives no network namespace to anybody but root; "
      "allow user namespaces (sysctl user.max_user_namespaces) or run the coordinator as root\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kWhy.data(), kWhy.size());
  _exit(126);
}

// Between fork and exec: system calls only, for other threads may hold locks.
[[noreturn]] void become_rerun(const Command& command, pid_t parent) {
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(command.stderr_fd, STDERR_FILENO);
  syscall(SYS_close_range, 3U, ~0U, 0U);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  be_first_to_go();
  leave_the_network();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_AS, command.limits.address_bytes);
  limit(RLIMIT_CPU, command.limits.cpu_s);
  limit(RLIMIT_FSIZE, kWrittenFileBytesMax);
  if (setpriority(PRIO_PROCESS, 0, 10) != 0 || getppid() != parent ||
      chdir(command.directory) != 0) {
    _exit(126);
  }
  execve(command.path, command.arguments, command.environment);
  _exit(127);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<void> link_file(const fs::path& from, const fs::path& to) {
  if (link(from.c_str(), to.c_str()) == 0) return {};
  std::error_code failed;  // the store may lie on another file system
  fs::copy_file(from, to, failed);
  if (failed) return errno_error(failed.value(), "copy " + from.string());
  return {};
}

// The job's files under names of our own, weights where the store of weights looks; the arguments.
Result<std::vector<std::string>> lay_out(const fs::path& directory, const JobSpec& spec,
                                         const FindFile& find_file) {
  BCAI_TRY(make_directories(directory / "weights", 0700));
  std::vector<std::string> words = {"bcai", "vm",      "run",       "program", "--as-job",
                                    ".",    "--trace", "--threads", "1"};
  size_t number = 0;
  for (const InputFile& file : spec.files) {
    const fs::path source = find_file(file.sha256);
    if (file.path == spec.program) BCAI_TRY(link_file(source, directory / "program"));
    bool is_input = false;
    for (const auto& [name, path] : spec.inputs) {
      if (path != file.path) continue;
      is_input = true;
      const std::string own = fmt::format("input_{}", number++);
      BCAI_TRY(link_file(source, directory / own));
      words.insert(words.end(), {"--input", fmt::format("{}={}", name, own)});
    }
    const fs::path weights = directory / "weights" / file.sha256.text();
    std::error_code ignored;
    if (!is_input && file.path != spec.program && !fs::exists(weights, ignored)) {
      BCAI_TRY(link_file(source, weights));
    }
  }
  return words;
}

// Its exit status, as waitpid gives it.
Result<int> wait_for(pid_t child, Instant deadline, int cancel_fd) {
  const SystemClock clock;
  const auto stop = [&](ErrorCode code, std::string_view why) {
    kill(child, SIGKILL);
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    return error(code, "{}", why);
  };
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (!handle) return stop(ErrorCode::kInternal, "pidfd_open failed");
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return errno_error(errno, "wait for the re-run");
    const Millis left = deadline - clock.now();
    if (left.count() <= 0) {
      return stop(ErrorCode::kDeadlineExceeded, "it took longer than the job's timeout");
    }
    pollfd events[2] = {{handle.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    poll(events, cancel_fd < 0 ? 1 : 2, static_cast<int>(std::min(left, kLook * 50).count()));
    if (events[1].revents != 0) return stop(ErrorCode::kCancelled, "the coordinator stops");
  }
}

// "bcai: error: …" without these words.
std::string said(const fs::path& file) {
  const Result<std::string> text = read_file(file, kErrorBytesMax);
  std::string line = text ? text->substr(0, text->find('\n')) : "";
  for (const std::string_view word : {"bcai: ", "error: "}) {
    if (line.starts_with(word)) line.erase(0, word.size());
  }
  return clip_utf8(line, 400);
}

rlim_t machine_bytes() {
  return static_cast<rlim_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

struct RemovedDirectory {
  fs::path path;
  ~RemovedDirectory() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

Result<Rerun> run_again(const RerunOptions& options, const JobSpec& spec,
                        const FindFile& find_file) {
  const rlim_t ceiling = machine_bytes() / 2;
  if (static_cast<rlim_t>(spec.hardware.memory_bytes) > ceiling) {
    return error(ErrorCode::kResourceExhausted,
                 "it may take {}, more than half of the coordinator's memory",
                 format_bytes(spec.hardware.memory_bytes));
  }
  const RemovedDirectory scratch{options.directory};
  std::error_code ignored;
  fs::remove_all(options.directory, ignored);
  BCAI_TRY_ASSIGN(const std::vector<std::string> words,
                  lay_out(options.directory, spec, find_file));
  const UniqueFd stderr_fd(
      open((options.directory / "stderr").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!stderr_fd) return errno_error(errno, "create a file for the re-run");
  const std::vector<std::string> environment = {"BCAI_DATA_DIR=" + options.directory.string(),
                                                "HOME=" + options.directory.string(), "NO_COLOR=1",
                                                "LC_ALL=C.UTF-8"};
  const std::vector<char*> arguments = pointers(words);
  const std::vector<char*> variables = pointers(environment);
  const Command command{
      .path = options.program.c_str(),
      .arguments = arguments.data(),
      .environment = variables.data(),
      .directory = options.directory.c_str(),
      .stderr_fd = stderr_fd.get(),
      .limits = {
          .address_bytes = std::min(
              static_cast<rlim_t>(spec.hardware.memory_bytes) * 2 + kAddressBytesBeyond, ceiling),
          .cpu_s = static_cast<rlim_t>(spec.timeout_s) * 2}};
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return errno_error(errno, "fork");
  if (child == 0) become_rerun(command, parent);
  BCAI_TRY_ASSIGN(
      const int status,
      wait_for(child, SystemClock().now() + Millis(spec.timeout_s * 1000), options.cancel_fd));
  const std::string message = said(options.directory / "stderr");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    BCAI_TRY_ASSIGN(vm::Receipt receipt, read_receipt(options.directory / kReceiptArtifact));
    return Rerun{.receipt = std::move(receipt), .failure = {}};
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kProgramFailedExit) {
    return Rerun{.receipt = std::nullopt, .failure = message};
  }
  return error(ErrorCode::kInternal, "it ended with {} {}{}{}",
               WIFEXITED(status) ? "exit code" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
               message.empty() ? "" : ": ", message);
}

}  // namespace bcai::coordinator
