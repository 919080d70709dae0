// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/log.h"

namespace bcai::net {
namespace {

constexpr int kAcceptsMax = 64;  // in a row before others get their turn
constexpr Millis kSweepInterval{1'000};
constexpr Millis kRetryInterval{100};
constexpr int64_t kWarnIntervalMs = 10'000;

UniqueFd open_reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

uint64_t inode_of(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

Listener::Listener(ServerState& server, ListenSocket socket, std::string unix_path)
    : server_(server),
      descriptor_(server.loop.io(), socket.fd.release()),
      unix_path_(std::move(unix_path)),
      reserve_(open_reserve()) {
  if (!unix_path_.empty()) unix_inode_ = inode_of(unix_path_);
}

void Listener::close() {
  if (!descriptor_.is_open()) return;
  boost::system::error_code ignored;
  descriptor_.close(ignored);
  if (!unix_path_.empty() && inode_of(unix_path_) == unix_inode_) ::unlink(unix_path_.c_str());
}

void Listener::arm() {
  descriptor_.async_wait(Descriptor::wait_read, [this](const boost::system::error_code& status) {
    if (!status) accept_some();
  });
}

void Listener::accept_some() {
  for (int n = 0; n < kAcceptsMax; ++n) {
    const int cause = accept_one();
    if (cause == EAGAIN || cause == EWOULDBLOCK) return arm();
    const bool exhausted =
        cause == EMFILE || cause == ENFILE || cause == ENOBUFS || cause == ENOMEM;
    if (!exhausted) continue;  // accepted, or it had failed before it was
    shed_one(cause);
    server_.loop.after(kRetryInterval, [this] {
      if (descriptor_.is_open()) arm();
    });
    return;
  }
  arm();
}

int Listener::accept_one() {
  UniqueFd fd(
      ::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return errno;
  if (server_.connections.size() >= server_.options.connections_max) return 0;
  if (unix_path_.empty()) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const auto connection = std::make_shared<Connection>(server_, std::move(fd));
  server_.connections.insert(connection);
  ++server_.connection_count;
  connection->start();
  arm_sweep();
  return 0;
}

void Listener::shed_one(int cause) {
  const int64_t now_ms = server_.loop.now().ms;
  if (now_ms - kWarnIntervalMs >= warned_ms_) {
    warned_ms_ = now_ms;
    log_event(LogLevel::kWarn, "net.accept_failed",
              {{"error", std::strerror(cause)}, {"connections", server_.connections.size()}});
  }
  reserve_.reset();
  UniqueFd shed(::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
  shed.reset();
  reserve_ = open_reserve();
}

void Listener::arm_sweep() {
  if (sweeping_) return;
  sweeping_ = true;
  server_.loop.after(kSweepInterval, [this] {
    sweeping_ = false;
    const Instant now = server_.loop.now();
    // A connection leaves the set when it is closed.
    std::vector<std::shared_ptr<Connection>> due;
    for (const auto& connection : server_.connections) {
      if (connection->wants_sweep(now)) due.push_back(connection);
    }
    for (const auto& connection : due) connection->sweep(now);
    if (!server_.connections.empty()) arm_sweep();
  });
}

}  // namespace bcai::net
