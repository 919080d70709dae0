// SPDX-License-Identifier: Apache-2.0
#include "sandbox/spawn.h"

#include "sandbox/pidfd.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bcai::sandbox {
namespace {

// Where the child failed, sent through a pipe that closes when it executes.
enum Step : int { kGroup, kNamespace, kAttach, kProc, kDescriptors, kOomScore, kExecute };

struct Failure {
  Step step;
  int index;
  int errno_value;
};

// All that the child touches, made before it is.
struct Plan {
  const SpawnOptions* options;
  const char* path;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  int null_fd;
  int report_fd;
};

[[noreturn]] void fail(const Plan& plan, Step step, int index = 0) {
  const Failure failure{step, index, errno};
  // Nothing can be done when this write fails too: the parent sees exit code 127.
  if (write(plan.report_fd, &failure, sizeof failure) < 0) _exit(126);
  _exit(127);
}

void join_group(const Plan& plan) {
  int index = 0;
  for (const std::string& file : plan.options->cgroup_procs) {
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) fail(plan, kGroup, index);
    close(fd);
    index++;
  }
}

void attach_mounts(const Plan& plan) {
  if (plan.options->attachments.empty()) return;
  if (unshare(CLONE_NEWNS) != 0) fail(plan, kNamespace);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) fail(plan, kNamespace);
  int index = 0;
  for (const Attachment& attachment : plan.options->attachments) {
    if (move_mount(attachment.mount_fd, "", AT_FDCWD, attachment.target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      fail(plan, kAttach, index);
    }
    index++;
  }
  if (plan.options->own_pids &&
      mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    fail(plan, kProc);
  }
}

// The four descriptors may lie anywhere, also on each other's places: first all out of the way.
void place_descriptors(const Plan& plan) {
  const SpawnOptions& o = *plan.options;
  int from[4] = {o.stdin_fd, o.stdout_fd, o.stderr_fd, o.third_fd};
  const int count = o.third_fd >= 0 ? 4 : 3;
  for (int i = 0; i < count; i++) {
    from[i] = fcntl(from[i] < 0 ? plan.null_fd : from[i], F_DUPFD_CLOEXEC, 10);
    if (from[i] < 0) fail(plan, kDescriptors);
  }
  for (int i = 0; i < count; i++) {
    if (dup2(from[i], i) < 0) fail(plan, kDescriptors);
  }
  if (syscall(SYS_close_range, count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(plan, kDescriptors);
}

// The score is a process's own even between vfork and execve. Written with the host's rights it is
// also the floor for all descendants; runc, which writes it inside the user namespace, sets none.
void become_oom_victim(const Plan& plan) {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "1000", 4) != 4) fail(plan, kOomScore);
  close(fd);
}

[[noreturn]] void child_main(const Plan& plan) {
  if (plan.options->dies_with_this_thread) prctl(PR_SET_PDEATHSIG, SIGKILL);
  join_group(plan);
  attach_mounts(plan);
  place_descriptors(plan);
  if (plan.options->first_oom_victim) become_oom_victim(plan);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.path, plan.arguments.data(), plan.environment.data());
  fail(plan, kExecute);
}

Error explain(const SpawnOptions& options, const Failure& failure) {
  switch (failure.step) {
    case kGroup:
      return errno_error(failure.errno_value,
                         "join " + options.cgroup_procs[static_cast<size_t>(failure.index)]);
    case kNamespace: return errno_error(failure.errno_value, "take a mount namespace");
    case kAttach:
      return errno_error(
          failure.errno_value,
          "attach a mount at " + options.attachments[static_cast<size_t>(failure.index)].target);
    case kProc: return errno_error(failure.errno_value, "mount a /proc of its own");
    case kDescriptors: return errno_error(failure.errno_value, "place descriptors");
    case kOomScore: return errno_error(failure.errno_value, "write /proc/self/oom_score_adj");
    case kExecute: break;
  }
  return errno_error(failure.errno_value, "execute " + options.arguments[0]);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// A function of its own, so that no local of the caller lives across vfork's two returns.
[[gnu::noinline]] pid_t start_child(const Plan& plan) {
  // vfork makes no namespaces, and a clone that shares our stack needs a stack of its own.
  const pid_t pid = plan.options->own_pids
                        ? static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0))
                        : vfork();
  if (pid == 0) child_main(plan);
  return pid;
}

}  // namespace

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return errno_error(errno, "set up a pipe");
  return pipe;
}

Result<SocketPair> make_sockets(int type) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return errno_error(errno, "make a pair of sockets");
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* directory :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string candidate = fmt::format("{}/{}", directory, name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return error(ErrorCode::kNotFound, "there is no program {} in the system's directories", name);
}

Result<Child> spawn(const SpawnOptions& options) {
  BCAI_ASSERT(!options.arguments.empty());
  BCAI_TRY_ASSIGN(const std::string path, find_program(options.arguments[0]));
  UniqueFd null_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return errno_error(errno, "open /dev/null");
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd report_read(report[0]);
  UniqueFd report_write(report[1]);
  const Plan plan{.options = &options,
                  .path = path.c_str(),
                  .arguments = pointers(options.arguments),
                  .environment = pointers(options.environment),
                  .null_fd = null_fd.get(),
                  .report_fd = report_write.get()};
  // A handler of ours must not run in the child: it shares our memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = start_child(plan);
  const int vfork_errno = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return errno_error(vfork_errno, "start a process");

  report_write.reset();
  Child child{.pid = pid, .pidfd = UniqueFd(open_pidfd(pid))};
  const int pidfd_errno = errno;
  Failure failure{};
  ssize_t got = 0;
  do {
    got = read(report_read.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof failure || !child.pidfd) {
    if (got != sizeof failure) kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (got == sizeof failure) return explain(options, failure);
    return errno_error(pidfd_errno, "open a pidfd");
  }
  return child;
}

Result<ExitStatus> wait_for(const Child& child) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) return errno_error(errno, fmt::format("wait for process {}", child.pid));
  }
  if (info.si_code == CLD_EXITED) return ExitStatus{.code = info.si_status};
  return ExitStatus{.code = 128 + info.si_status, .signal = info.si_status};
}

Result<Captured> run_captured(SpawnOptions options, Millis timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  options.stdout_fd = options.stderr_fd = write_end.get();
  BCAI_TRY_ASSIGN(Child child, spawn(options));
  write_end.reset();
  SystemClock clock;
  const Instant deadline = clock.now() + timeout;
  constexpr size_t kOutputMax = size_t{16} << 20;
  Captured captured;
  bool overrun = false;
  for (;;) {
    const int64_t left_ms = (deadline - clock.now()).count();
    pollfd waiting{.fd = read_end.get(), .events = POLLIN, .revents = 0};
    overrun = left_ms <= 0 || captured.output.size() > kOutputMax;
    if (overrun) break;
    if (poll(&waiting, 1, static_cast<int>(left_ms)) <= 0) continue;
    char buffer[16384];
    const ssize_t got = read(read_end.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    captured.output.append(buffer, static_cast<size_t>(got));
  }
  if (overrun) send_signal(child.pidfd.get(), SIGKILL);
  BCAI_TRY_ASSIGN(captured.status, wait_for(child));
  if (overrun) {
    return error(ErrorCode::kDeadlineExceeded, "{} did not end within {} ms", options.arguments[0],
                 timeout.count());
  }
  return captured;
}

}  // namespace bcai::sandbox
