// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupts.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace bcai::cli {
namespace {

// What a signal handler may touch.
int signal_event_fd = -1;
std::atomic<int>* signal_count = nullptr;

void notify(int fd) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

void take_signal(int) {
  const int kept = errno;
  ++*signal_count;
  notify(signal_event_fd);
  errno = kept;
}

}  // namespace

void Interrupts::install() {
  event_.reset(eventfd(0, EFD_CLOEXEC));
  BCAI_ASSERT(event_);
  signal_event_fd = event_.get();
  signal_count = &count_;
  struct sigaction action {};
  action.sa_handler = take_signal;
  // Other threads' system calls go on.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    // A shell's background job is started with SIGINT ignored; it stays so.
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
  watcher_ = std::thread([this] { watch(); });
}

Interrupts::~Interrupts() {
  if (!watcher_.joinable()) return;
  for (const int number : {SIGINT, SIGTERM}) signal(number, SIG_DFL);
  ending_ = true;
  notify(event_.get());
  watcher_.join();
}

void Interrupts::raise() {
  ++count_;
  if (event_) {
    notify(event_.get());
    return;
  }
  const std::lock_guard lock(mutex_);
  if (wake_) wake_();
}

void Interrupts::watch() {
  for (;;) {
    uint64_t value = 0;
    if (read(event_.get(), &value, sizeof value) < 0 && errno != EINTR) return;
    if (ending_) return;
    const std::lock_guard lock(mutex_);
    if (wake_) wake_();
  }
}

void Interrupts::on_interrupt(int seen, std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
  if (wake_ && count_ > seen) wake_();
}

bool Interrupts::sleep(Millis duration, int seen) const {
  constexpr Millis kStep{50};
  for (Millis left = duration; left.count() > 0 && count_ <= seen; left -= kStep) {
    poll(nullptr, 0, static_cast<int>(std::min(left, kStep).count()));
  }
  return count_ > seen;
}

void Interrupts::wait(int seen) const {
  while (!sleep(Millis(3'600'000), seen)) {
  }
}

}  // namespace bcai::cli
