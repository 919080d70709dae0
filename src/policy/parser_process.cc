// SPDX-License-Identifier: Apache-2.0
#include "policy/parser_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "policy/checker.h"
#include "policy_files.h"

namespace bcai::policy {
namespace {

constexpr Millis kStartTimeout{10'000};
constexpr size_t kAnswerBytesMax = 1 << 20;
constexpr uid_t kNobody = 65534;

struct Command {
  const char* path;
  char* const* arguments;
  char* const* environment;
};

// Between fork and exec: system calls only, for other threads may hold locks.
[[noreturn]] void become_parser(int socket, pid_t parent, const Command& command) {
  dup2(socket, STDIN_FILENO);
  dup2(socket, STDOUT_FILENO);
  const int null = open("/dev/null", O_WRONLY);
  dup2(null, STDERR_FILENO);
  syscall(SYS_close_range, 3U, ~0U, 0U);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (geteuid() == 0) {
    // What the kernel refuses here is refused again by the filter in check.py.
    unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS);
    if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
        setresuid(kNobody, kNobody, kNobody) != 0) {
      _exit(126);
    }
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // After the change of user, which clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || chdir("/") != 0) _exit(126);
  execve(command.path, command.arguments, command.environment);
  _exit(127);
}

void append_length(std::string& out, size_t length) {
  const uint32_t value = static_cast<uint32_t>(length);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

size_t read_length(std::string_view bytes) {
  size_t length = 0;
  for (int index = 3; index >= 0; --index) {
    length = length << 8 | static_cast<unsigned char>(bytes[static_cast<size_t>(index)]);
  }
  return length;
}

}  // namespace

Result<void> ParserProcess::start(const std::string& python) {
  kill();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return errno_error(errno, "socketpair");
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const std::string source(policy_files("python/check.py"));
  const std::string policy(imports_json());
  const char* arguments[] = {python.c_str(), "-I",           "-S",           "-B",
                             "-c",           source.c_str(), policy.c_str(), nullptr};
  char* environment[] = {nullptr};
  const Command command{python.c_str(), const_cast<char* const*>(arguments), environment};
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return errno_error(errno, "fork");
  if (child == 0) become_parser(theirs.get(), parent, command);
  pid_ = child;
  theirs.reset();  // else its death would not end our reading
  socket_ = std::move(ours);
  fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  if (Result<std::string> ready = exchange({}, kStartTimeout, -1); !ready) {
    kill();
    return error(ErrorCode::kFailedPrecondition, "{} does not start as a parser: {}", python,
                 ready.error().message);
  }
  return {};
}

Result<std::string> ParserProcess::ask(std::string_view header, std::string_view code,
                                       Millis timeout, int cancel_fd) {
  std::string request;
  request.reserve(8 + header.size() + code.size());
  append_length(request, header.size());
  append_length(request, code.size());
  request.append(header).append(code);
  Result<std::string> answer = exchange(request, timeout, cancel_fd);
  if (!answer) kill();
  return answer;
}

// The parser reads a request to its end before it answers, so writing first cannot block it.
Result<std::string> ParserProcess::exchange(std::string_view request, Millis timeout,
                                            int cancel_fd) {
  const SystemClock clock;
  const Instant deadline = clock.now() + timeout;
  while (!request.empty()) {
    const ssize_t sent = send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      request.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      BCAI_TRY(wait_for(POLLOUT, deadline, cancel_fd));
    } else if (errno != EINTR) {
      return error(ErrorCode::kDataLoss, "the parser died");
    }
  }
  std::string answer;
  size_t wanted = 4;
  bool has_length = false;
  while (answer.size() < wanted || !has_length) {
    if (answer.size() >= wanted) {
      wanted = 4 + read_length(answer);
      has_length = true;
      if (wanted > kAnswerBytesMax) return error(ErrorCode::kDataLoss, "the answer is too long");
      continue;
    }
    char buffer[16384];
    const ssize_t got =
        recv(socket_.get(), buffer, std::min(sizeof buffer, wanted - answer.size()), 0);
    if (got > 0) {
      answer.append(buffer, static_cast<size_t>(got));
    } else if (got < 0 && errno == EAGAIN) {
      BCAI_TRY(wait_for(POLLIN, deadline, cancel_fd));
    } else if (got == 0 || errno != EINTR) {
      return error(ErrorCode::kDataLoss, "the parser died");
    }
  }
  answer.erase(0, 4);
  return answer;
}

Result<void> ParserProcess::wait_for(short events, Instant deadline, int cancel_fd) {
  const SystemClock clock;
  const int64_t left = (deadline - clock.now()).count();
  if (left <= 0) return error(ErrorCode::kDeadlineExceeded, "the parser did not answer in time");
  pollfd watched[2] = {{socket_.get(), events, 0}, {cancel_fd, POLLIN, 0}};
  poll(watched, 2, static_cast<int>(std::min<int64_t>(left, 60'000)));
  if (watched[1].revents != 0) return error(ErrorCode::kCancelled, "cancelled");
  return {};
}

void ParserProcess::kill() {
  socket_.reset();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace bcai::policy
