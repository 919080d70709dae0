// SPDX-License-Identifier: Apache-2.0
// Watches one job from the start of runc until its last process is gone: output, messages,
// deadlines, budgets, cancellation. Knows what happened from the kernel alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "sandbox/cgroup.h"
#include "sandbox/control_lines.h"
#include "sandbox/denied_calls.h"
#include "sandbox/sandbox.h"
#include "sandbox/spawn.h"

namespace bcai::sandbox {

// Why we ended the job; kNone: it ended by itself.
enum class EndedBy : uint8_t { kNone, kCancel, kWall, kCpu, kOutput, kDeniedCalls };

struct Ending {
  bool ran = false;     // runc started it
  std::string failure;  // of runc or of this machine; "" when all went well
  ExitStatus status;
  EndedBy ended_by = EndedBy::kNone;
  Instant alive;       // the runner's first sign of life, or the start when there was none
  Instant gone;        // every process gone
  Millis overtime{0};  // until then, from the moment at which it had to be killed
  Counters counters;
  int64_t output_bytes = 0;
  int64_t output_bytes_dropped = 0;
  std::optional<std::map<std::string, int64_t>> denied_calls;  // by name; nothing: not counted
};

struct Watched {
  Child runc;  // none of a warm start: then there are `first`, and `zygote`, which tells its end
  UniqueFd first;   // pidfd of the job's process
  UniqueFd zygote;  // its socket, see zygote/message.h
  // Of a guest: pidfd of gVisor's kernel, which hands SIGTERM on. `control` tells the task's end.
  UniqueFd kernel;
  UniqueFd out;  // the read ends; non-blocking
  UniqueFd err;
  UniqueFd control;
  std::filesystem::path pid_file;  // runc's
  std::filesystem::path log;
  std::optional<ListenerSocket> listener;  // a runtime's that was asked for `calls`
  UniqueFd calls;                          // denied_calls.h; none: they are not counted
  JobGroup group;
};

// Blocks. Afterwards no process of the job is left, or `failure` says that some could not be
// killed.
Ending supervise(Watched watched, const Limits& limits, const Callbacks& callbacks,
                 Cancellation& cancellation);

// The outcome and its sentence for the user.
struct Verdict {
  Outcome outcome = Outcome::kNodeFailure;
  int exit_code = 0;
  std::string detail;
};
Verdict judge(const Ending& ending, const Limits& limits);

}  // namespace bcai::sandbox
