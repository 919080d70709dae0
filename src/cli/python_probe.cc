// SPDX-License-Identifier: Apache-2.0
#include "cli/python_probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "cli/job_view.h"

namespace bcai::cli {
namespace {

// Reads metadata only: importing torch takes a second.
constexpr const char* kQuestion =
    "import json, platform, importlib.metadata as m\n"
    "try: torch = m.version('torch')\n"
    "except m.PackageNotFoundError: torch = ''\n"
    "print(json.dumps({'version': platform.python_version(), 'torch': torch}))\n";

constexpr size_t kAnswerBytesMax = 4096;

// Until the end, the limit, or the time is over.
std::string read_answer(int fd, Millis timeout) {
  std::string answer;
  char buffer[512];
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  while (answer.size() < kAnswerBytesMax && poll(&wait, 1, static_cast<int>(timeout.count())) > 0) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) break;
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

}  // namespace

Result<PythonProbe> probe_python(const std::string& python, Millis timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = python;
  std::string isolated = "-I";
  std::string command = "-c";
  std::string question = kQuestion;
  char* const arguments[] = {program.data(), isolated.data(), command.data(), question.data(),
                             nullptr};
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, python.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return errno_error(failed, python);
  in.reset();
  const std::string answer = read_answer(out.get(), timeout);
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const Result<json::value> said = parse_json(answer);
  if (!said || text_of(*said, "version").empty()) {
    return error(ErrorCode::kFailedPrecondition, "{} does not answer like Python 3.8 or newer",
                 python);
  }
  return PythonProbe{.version = text_of(*said, "version"), .torch = text_of(*said, "torch")};
}

}  // namespace bcai::cli
