// SPDX-License-Identifier: Apache-2.0
#include "sandbox/supervise.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/units.h"
#include "sandbox/pidfd.h"
#include "sandbox/runtime.h"
#include "sandbox/zygote/message.h"

namespace bcai::sandbox {
namespace {

constexpr Millis kRuncStartMax{120'000};
constexpr Millis kCancelledStartMax{5'000};
constexpr Instant kNever{std::numeric_limits<int64_t>::max()};

class Supervisor {
 public:
  Supervisor(Watched watched, const Limits& limits, const Callbacks& callbacks,
             Cancellation& cancellation)
      : watched_(std::move(watched)),
        limits_(limits),
        callbacks_(callbacks),
        cancellation_(cancellation),
        buffer_(size_t{1} << 16) {}

  Ending run() {
    if (watched_.first ? begin_warm() : start()) {
      watch();
      finish();
    }
    ending_.gone = clock_.now();
    if (kill_at_ < ending_.gone) ending_.overtime = ending_.gone - kill_at_;
    if (ending_.alive.ms == 0) ending_.alive = ending_.gone;
    return std::move(ending_);
  }

 private:
  // Until runc has done its work. It is not killed in the midst of it unless it hangs: what it has
  // half made would have to be found.
  bool start() {
    const Instant began = clock_.now();
    for (;;) {
      const bool cancelled = cancellation_.cancelled();
      const Instant deadline = began + (cancelled ? kCancelledStartMax : kRuncStartMax);
      if (clock_.now() >= deadline) {
        send_signal(watched_.runc.pidfd.get(), SIGKILL);
      }
      std::array<pollfd, 3> fds{pollfd{watched_.runc.pidfd.get(), POLLIN, 0},
                                pollfd{watched_.control.get(), POLLIN, 0},
                                pollfd{cancelled ? -1 : cancellation_.event_fd(), POLLIN, 0}};
      poll(fds.data(), fds.size(), wait_ms(std::max(deadline, clock_.now() + Millis(100))));
      if (fds[1].revents != 0) read_control();
      if (fds[0].revents != 0) break;
    }
    const auto status = wait_for(watched_.runc);
    if (!status || status->code != 0) {
      fail_start(status ? status->code : -1);
      return false;
    }
    return find_first_process() && take_listener();
  }

  // Calls that the job has made since wait for it.
  bool take_listener() {
    if (!watched_.listener) return true;
    auto received = watched_.listener->receive();
    if (received) {
      calls_.emplace(*std::move(received));
      return true;
    }
    ending_.ran = false;
    ending_.failure = received.error().message;
    end_everyone();
    return false;
  }

  bool begin_warm() {
    first_.pidfd = std::move(watched_.first);
    if (watched_.calls) calls_.emplace(std::move(watched_.calls));
    ending_.ran = true;
    began_ = clock_.now();
    return true;
  }

  void fail_start(int code) {
    std::string message;
    if (const auto log = read_file(watched_.log)) message = last_log_message(*log);
    if (message.empty()) message = drain_text(watched_.err.get());
    ending_.failure = fmt::format("runc could not start the job (exit code {}): {}", code, message);
    if (cancellation_.cancelled()) ending_.ended_by = EndedBy::kCancel;
    ending_.counters = watched_.group.read();
    end_everyone();
  }

  // Without knowing the first process. What runc left half made became our child when it ended.
  void end_everyone() {
    const std::vector<pid_t> left = watched_.group.processes();
    if (!watched_.group.kill_until_empty(clock_, clock_.now() + kKillMax)) note_unkillable();
    for (pid_t pid : left) waitpid(pid, nullptr, WNOHANG);
  }

  bool find_first_process() {
    const auto text = read_file(watched_.pid_file);
    const auto pid = text ? parse_number(*text) : std::nullopt;
    // Its parent was runc; now it is us, the subreaper. So the number is its own until we reap it.
    if (pid && *pid > 1) first_.pid = static_cast<pid_t>(*pid);
    first_.pidfd.reset(first_.pid > 1 ? open_pidfd(first_.pid) : -1);
    if (first_.pidfd) {
      ending_.ran = true;
      began_ = clock_.now();
      return true;
    }
    ending_.failure =
        fmt::format("runc left no usable process number in {}", watched_.pid_file.string());
    end_everyone();
    return false;
  }

  void watch() {
    wall_deadline_ = began_ + Millis(limits_.wall_ms_max);
    if (limits_.cpu_ms_max > 0) next_cpu_look_ = began_;
    if (callbacks_.on_started && ending_.alive.ms != 0) callbacks_.on_started();
    told_started_ = ending_.alive.ms != 0;
    for (;;) {
      act_on_time();
      std::array<pollfd, 6> fds{pollfd{first_.pidfd.get(), POLLIN, 0},
                                pollfd{watched_.out ? watched_.out.get() : -1, POLLIN, 0},
                                pollfd{watched_.err ? watched_.err.get() : -1, POLLIN, 0},
                                pollfd{watched_.control ? watched_.control.get() : -1, POLLIN, 0},
                                pollfd{killed_ ? -1 : cancellation_.event_fd(), POLLIN, 0},
                                pollfd{killed_ || !calls_ ? -1 : calls_->fd(), POLLIN, 0}};
      poll(fds.data(), fds.size(), wait_ms(next_deadline()));
      if (fds[5].revents != 0) refuse_call(fds[5].revents);
      if (fds[4].revents != 0) end(EndedBy::kCancel, clock_.now());
      if (fds[3].revents != 0) read_control();
      if (fds[1].revents != 0) read_output(watched_.out, Stream::kStdout);
      if (fds[2].revents != 0) read_output(watched_.err, Stream::kStderr);
      if (fds[0].revents != 0) return;
      if (killed_ && clock_.now() >= give_up_) return;
    }
  }

  void refuse_call(short events) {
    calls_->answer(events);
    if (calls_->total() >= limits_.denied_calls_max) end(EndedBy::kDeniedCalls, clock_.now());
  }

  Instant next_deadline() const {
    if (killed_) return give_up_;
    return std::min({wall_deadline_, kill_at_, next_cpu_look_});
  }

  int wait_ms(Instant until) const {
    if (until == kNever) return -1;
    const int64_t left = (until - clock_.now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
  }

  void act_on_time() {
    const Instant now = clock_.now();
    if (killed_) return;
    if (cancellation_.cancelled()) return end(EndedBy::kCancel, now);
    if (now >= kill_at_) return kill();
    if (now >= wall_deadline_) {
      end(EndedBy::kWall, wall_deadline_ + limits_.grace);
      wall_deadline_ = kNever;
    }
    if (now >= next_cpu_look_) look_at_cpu(now);
  }

  // Looks again when the budget could be used up at the earliest.
  void look_at_cpu(Instant now) {
    const int64_t used = watched_.group.cpu_ms().value_or(0);
    const int64_t left = limits_.cpu_ms_max - used;
    if (left <= 0) return end(EndedBy::kCpu, now);
    const int64_t pause = left * 1000 / std::max<int64_t>(limits_.cpu_millicores, 1);
    next_cpu_look_ = now + Millis(std::clamp<int64_t>(pause, 5, 1000));
  }

  // With time until `kill_at` to end by itself.
  void end(EndedBy by, Instant kill_at) {
    if (ending_.ended_by == EndedBy::kNone || by == EndedBy::kCancel) ending_.ended_by = by;
    kill_at_ = std::min(kill_at_, kill_at);
    if (clock_.now() >= kill_at_) return kill();
    send_signal((watched_.kernel ? watched_.kernel : first_.pidfd).get(), SIGTERM);
  }

  // The first process takes its whole pid namespace with it, forking or not.
  void kill() {
    if (killed_) return;
    killed_ = true;
    give_up_ = clock_.now() + kKillMax;
    send_signal(first_.pidfd.get(), SIGKILL);
    watched_.group.kill();
  }

  // Reads how the first process ended; false when it has not.
  bool read_status() {
    siginfo_t info{};
    if (waitid(P_PIDFD, static_cast<id_t>(first_.pidfd.get()), &info, WEXITED | WNOHANG) != 0 ||
        info.si_pid == 0) {
      return false;
    }
    const bool exited = info.si_code == CLD_EXITED;
    ending_.status = {.code = exited ? info.si_status : 128 + info.si_status,
                      .signal = exited ? 0 : info.si_status};
    return true;
  }

  // Of a child of the zygote's.
  bool read_told_status() {
    bcai_message message{};
    pollfd told{.fd = watched_.zygote.get(), .events = POLLIN, .revents = 0};
    poll(&told, 1, static_cast<int>(kKillMax.count()));
    const ssize_t got = recv(watched_.zygote.get(), &message, sizeof message, MSG_DONTWAIT);
    if (got == sizeof message && message.kind == BCAI_ENDED) {
      ending_.status = {.code = message.status};
    } else {
      ending_.failure = "the process that the job was forked from ended while it ran";
    }
    pollfd ended{.fd = first_.pidfd.get(), .events = POLLIN, .revents = 0};
    return poll(&ended, 1, 0) == 1;
  }

  void finish() {
    const bool gone = watched_.zygote ? read_told_status() : read_status();
    if (!watched_.group.kill_until_empty(clock_, clock_.now() + kKillMax) || !gone) {
      note_unkillable();
    }
    ending_.counters = watched_.group.read();
    if (calls_) ending_.denied_calls = calls_->counts();
    while (read_control()) {
    }
    if (watched_.kernel) look_for_end_of_guest();
    if (callbacks_.on_started && !told_started_ && ending_.alive.ms != 0) callbacks_.on_started();
    while (read_output(watched_.out, Stream::kStdout)) {
    }
    while (read_output(watched_.err, Stream::kStderr)) {
    }
    if (ending_.alive.ms == 0) ending_.alive = began_;
  }

  // gVisor ends before the task when it is killed or has a fault: not by the task's limits, and
  // without the word of the guest's first process.
  void look_for_end_of_guest() {
    if (ending_.ended_by != EndedBy::kNone || lines_.ended() == ending_.status.code) return;
    if (ending_.counters.oom_kills > 0 || ending_.counters.processes_refused > 0) return;
    ending_.failure =
        fmt::format("gVisor ended before the job did, with exit code {}", ending_.status.code);
  }

  void note_unkillable() {
    ending_.failure =
        fmt::format("processes of the job could not be killed within {} ms", kKillMax.count());
  }

  // Both readers: true when there may be more. They close what has ended.
  bool read_control() {
    const ssize_t got = read_some(watched_.control);
    if (got <= 0) return false;
    lines_.feed({buffer_.data(), static_cast<size_t>(got)}, clock_.now(),
                [&](std::string_view line) { take_line(line); });
    return true;
  }

  void take_line(std::string_view line) {
    if (ending_.alive.ms == 0) {
      ending_.alive = clock_.now();
      if (callbacks_.on_started && ending_.ran) {
        told_started_ = true;
        callbacks_.on_started();
      }
    }
    if (line.starts_with("{\"started\"")) return;
    if (callbacks_.on_message) callbacks_.on_message(line);
  }

  bool read_output(UniqueFd& fd, Stream stream) {
    const ssize_t got = read_some(fd);
    if (got <= 0) return false;
    const int64_t kept = ending_.output_bytes - ending_.output_bytes_dropped;
    const int64_t keep = std::clamp<int64_t>(limits_.output_bytes_max - kept, 0, got);
    ending_.output_bytes += got;
    ending_.output_bytes_dropped += got - keep;
    if (keep > 0 && callbacks_.on_output) {
      callbacks_.on_output(stream, {buffer_.data(), static_cast<size_t>(keep)});
    }
    if (ending_.output_bytes >= limits_.output_bytes_kill && !killed_) {
      end(EndedBy::kOutput, clock_.now());
    }
    return true;
  }

  ssize_t read_some(UniqueFd& fd) {
    if (!fd) return 0;
    for (;;) {
      const ssize_t got = read(fd.get(), buffer_.data(), buffer_.size());
      if (got < 0 && errno == EINTR) continue;
      if (got == 0 || (got < 0 && errno != EAGAIN)) fd.reset();
      return got;
    }
  }

  std::string drain_text(int fd) {
    const ssize_t got = read(fd, buffer_.data(), std::min<size_t>(buffer_.size(), 4096));
    return got > 0 ? std::string(buffer_.data(), static_cast<size_t>(got)) : "it said nothing";
  }

  SystemClock clock_;
  Watched watched_;
  const Limits& limits_;
  const Callbacks& callbacks_;
  Cancellation& cancellation_;
  std::vector<char> buffer_;
  ControlLines lines_;
  std::optional<DeniedCalls> calls_;
  Child first_;
  Ending ending_;
  Instant began_;
  Instant wall_deadline_ = kNever;
  Instant kill_at_ = kNever;
  Instant next_cpu_look_ = kNever;
  Instant give_up_ = kNever;
  bool killed_ = false;
  bool told_started_ = false;
};

// "mount (9), ptrace (1)"
std::string listed(const std::map<std::string, int64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} ({})", name, count));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

Ending supervise(Watched watched, const Limits& limits, const Callbacks& callbacks,
                 Cancellation& cancellation) {
  return Supervisor(std::move(watched), limits, callbacks, cancellation).run();
}

Verdict judge(const Ending& ending, const Limits& limits) {
  const int code = ending.status.code;
  if (ending.ended_by == EndedBy::kCancel) return {Outcome::kCancelled, code, "cancelled"};
  if (ending.counters.oom_kills > 0) {
    return {Outcome::kOutOfMemory, code,
            fmt::format("used more than {} of memory", format_bytes(limits.memory_bytes_max))};
  }
  if (!ending.ran || !ending.failure.empty()) {
    return {Outcome::kNodeFailure, code, ending.failure};
  }
  switch (ending.ended_by) {
    case EndedBy::kWall:
      return {Outcome::kTimedOut, code,
              fmt::format("ran longer than {}", format_duration(Millis(limits.wall_ms_max)))};
    case EndedBy::kCpu:
      return {
          Outcome::kOverCpu, code,
          fmt::format("used more than {} of CPU time", format_duration(Millis(limits.cpu_ms_max)))};
    case EndedBy::kOutput:
      return {Outcome::kOverOutput, code,
              fmt::format("wrote more than {} of output", format_bytes(limits.output_bytes_kill))};
    case EndedBy::kDeniedCalls:
      return {Outcome::kPolicyViolation, code,
              "tried system calls that no job may make: " + listed(*ending.denied_calls)};
    case EndedBy::kNone:
    case EndedBy::kCancel: break;
  }
  // The first process, which is the runner's, passes its child's end on as 128 + n.
  if (code == 128 + SIGSYS) {
    return {Outcome::kPolicyViolation, code,
            "made a system call by another architecture's numbers, which is not allowed"};
  }
  if (ending.counters.processes_refused > 0 && code != 0) {
    return {Outcome::kOverProcesses, code,
            fmt::format("tried to run more than {} processes and threads", limits.processes_max)};
  }
  if (ending.status.signal != 0) {
    return {Outcome::kFinished, code,
            fmt::format("ended by signal {} ({})", ending.status.signal,
                        strsignal(ending.status.signal))};
  }
  return {Outcome::kFinished, code, code == 0 ? "" : fmt::format("exited with code {}", code)};
}

}  // namespace bcai::sandbox
