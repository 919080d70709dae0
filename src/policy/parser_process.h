// SPDX-License-Identifier: Apache-2.0
// One CPython that parses and does nothing else (python/check.py). As root it runs as nobody in
// namespaces of its own; always without new privileges, behind a seccomp filter, with an empty
// environment and bounded memory. It dies with the thread that started it.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace bcai::policy {

// One thread. The destructor kills and reaps.
class ParserProcess {
 public:
  ParserProcess() = default;
  ~ParserProcess() { kill(); }
  ParserProcess(const ParserProcess&) = delete;
  ParserProcess& operator=(const ParserProcess&) = delete;

  // Starts and waits for the first answer. kFailedPrecondition when that does not come.
  Result<void> start(const std::string& python);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  // The answer to a request. kDeadlineExceeded, kCancelled (`cancel_fd` became readable) or
  // kDataLoss (the process died, or said what it should not); then it is killed.
  Result<std::string> ask(std::string_view header, std::string_view code, Millis timeout,
                          int cancel_fd);
  void kill();

 private:
  Result<std::string> exchange(std::string_view request, Millis timeout, int cancel_fd);
  Result<void> wait_for(short events, Instant deadline, int cancel_fd);

  pid_t pid_ = -1;
  UniqueFd socket_;
};

}  // namespace bcai::policy
