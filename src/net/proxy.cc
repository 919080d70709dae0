// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "net/proxy_request.h"

namespace bcai::net {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using Failure = boost::system::error_code;

constexpr size_t kHeadBytesMax = 16'384;
constexpr size_t kPieceBytes = 65'536;

// Of all connections; the proxy's thread alone.
struct Shared {
  ProxyOptions options;
  int connections = 0;
  int64_t bytes = 0;
  asio::io_context io{1};  // goes first: what waits in it uses the rest
};

class Relay : public std::enable_shared_from_this<Relay> {
 public:
  Relay(Shared& shared, Local::socket client)
      : shared_(shared),
        client_(std::move(client)),
        server_(shared.io),
        resolver_(shared.io),
        timer_(shared.io) {
    shared_.connections += 1;
  }
  ~Relay() {
    shared_.connections -= 1;
    if (seen_.target.host.empty() && seen_.refusal.empty()) return;  // it asked for nothing
    if (shared_.options.on_connection) shared_.options.on_connection(seen_);
  }

  void start() {
    watch();
    asio::async_read_until(client_, asio::dynamic_buffer(head_, kHeadBytesMax), "\r\n\r\n",
                           [self = shared_from_this()](Failure failed, size_t bytes) {
                             if (!failed) return self->read_request(bytes);
                             if (failed == asio::error::not_found)
                               self->refuse(400, "too long a head");
                             self->end();
                           });
  }

 private:
  void read_request(size_t bytes) {
    auto request = parse_proxy_request(std::string_view(head_).substr(0, bytes));
    if (!request) return refuse(400, request.error().message);
    early_ = head_.substr(bytes);
    request_ = *std::move(request);
    seen_.target = request_.target;
    const ProxyOptions& options = shared_.options;
    if (shared_.connections > options.connections_max) {
      return refuse(503, fmt::format("more than {} connections at once", options.connections_max));
    }
    if (shared_.bytes >= options.bytes_max) return refuse(403, over());
    if (std::find(options.allow.begin(), options.allow.end(), request_.target) ==
        options.allow.end()) {
      std::vector<std::string> allowed;
      for (const HostPort& one : options.allow) allowed.push_back(to_text(one));
      return refuse(403, fmt::format("it is not allowed; allowed is {}", fmt::join(allowed, ", ")));
    }
    resolver_.async_resolve(
        request_.target.host, std::to_string(request_.target.port),
        [self = shared_from_this()](Failure failed, const Tcp::resolver::results_type& found) {
          if (failed) return self->refuse(502, "its name cannot be resolved: " + failed.message());
          self->choose(found);
        });
  }

  void choose(const Tcp::resolver::results_type& found) {
    const auto& trusted = shared_.options.trusted;
    const bool any = std::find(trusted.begin(), trusted.end(), request_.target) != trusted.end();
    for (const auto& entry : found) {
      if (any || is_public_address(entry.endpoint().address().to_string())) {
        endpoints_.push_back(entry.endpoint());
      }
    }
    if (endpoints_.empty()) return refuse(403, "it has no public address");
    asio::async_connect(server_, endpoints_,
                        [self = shared_from_this()](Failure failed, const Tcp::endpoint& endpoint) {
                          if (failed) {
                            return self->refuse(502, "it does not answer: " + failed.message());
                          }
                          self->seen_.address = endpoint.address().to_string();
                          self->open();
                        });
  }

  void open() {
    greeting_ = request_.tunnel ? "HTTP/1.1 200 Connection established\r\n\r\n" : "";
    first_ = request_.head + early_;
    seen_.bytes_sent += static_cast<int64_t>(first_.size());
    shared_.bytes += static_cast<int64_t>(first_.size());
    asio::async_write(
        client_, asio::buffer(greeting_), [self = shared_from_this()](Failure failed, size_t) {
          if (failed) return self->end();
          self->pump(self->server_, self->client_, self->down_, &self->seen_.bytes_received);
        });
    asio::async_write(
        server_, asio::buffer(first_), [self = shared_from_this()](Failure failed, size_t) {
          if (failed) return self->end();
          self->pump(self->client_, self->server_, self->up_, &self->seen_.bytes_sent);
        });
  }

  template <typename From, typename To>
  void pump(From& from, To& to, std::array<char, kPieceBytes>& piece, int64_t* count) {
    from.async_read_some(asio::buffer(piece), [self = shared_from_this(), &from, &to, &piece,
                                               count](Failure failed, size_t bytes) {
      if (failed) {
        Failure ignored;
        to.shutdown(asio::socket_base::shutdown_send, ignored);
        if (failed != asio::error::eof || ++self->ended_ == 2) self->end();
        return;
      }
      *count += static_cast<int64_t>(bytes);
      self->shared_.bytes += static_cast<int64_t>(bytes);
      if (self->shared_.bytes > self->shared_.options.bytes_max) {
        self->seen_.refusal = self->over();
        return self->end();
      }
      self->moved_ = true;
      asio::async_write(to, asio::buffer(piece, bytes),
                        [self, &from, &to, &piece, count](Failure broken, size_t) {
                          if (broken) return self->end();
                          self->pump(from, to, piece, count);
                        });
    });
  }

  std::string over() const {
    return fmt::format("more than {} bytes in all", shared_.options.bytes_max);
  }

  void refuse(int status, std::string why) {
    std::string told = why;
    if (!seen_.target.host.empty()) told = fmt::format("{}: {}", to_text(seen_.target), why);
    seen_.refusal = std::move(why);
    greeting_ = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
        "Connection: close\r\n\r\n{}\n",
        status,
        status == 403   ? "Forbidden"
        : status == 400 ? "Bad Request"
                        : "Unavailable",
        told.size() + 1, told);
    asio::async_write(client_, asio::buffer(greeting_),
                      [self = shared_from_this()](Failure, size_t) { self->end(); });
  }

  void watch() {
    timer_.expires_after(shared_.options.idle_timeout);
    timer_.async_wait([weak = weak_from_this()](Failure failed) {
      const auto self = weak.lock();
      if (failed || !self) return;
      if (!std::exchange(self->moved_, false)) return self->end();
      self->watch();
    });
  }

  void end() {
    Failure ignored;
    resolver_.cancel();
    timer_.cancel();
    client_.close(ignored);
    server_.close(ignored);
  }

  Shared& shared_;
  Local::socket client_;
  Tcp::socket server_;
  Tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::string head_;
  std::string early_;  // what came after the head
  std::string first_;
  std::string greeting_;
  ProxyRequest request_;
  std::vector<Tcp::endpoint> endpoints_;
  ProxyConnection seen_;
  std::array<char, kPieceBytes> up_{};
  std::array<char, kPieceBytes> down_{};
  int ended_ = 0;       // directions
  bool moved_ = false;  // since the timer last looked
};

// Through the directory's descriptor: an address holds 107 bytes, a path may be longer.
Result<UniqueFd> listen_at(const std::filesystem::path& path) {
  const UniqueFd directory(open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return errno_error(errno, "open " + path.parent_path().string());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string shown =
      fmt::format("/proc/self/fd/{}/{}", directory.get(), path.filename().string());
  if (shown.size() >= sizeof address.sun_path) {
    return error(ErrorCode::kInvalidArgument, "{} is too long a name", path.filename().string());
  }
  std::copy(shown.begin(), shown.end(), address.sun_path);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), 0666) != 0 || listen(fd.get(), SOMAXCONN) != 0) {
    return errno_error(errno, "listen at " + path.string());
  }
  return fd;
}

}  // namespace

struct Proxy::Impl {
  Shared shared;
  Local::acceptor acceptor{shared.io};
  asio::steady_timer timer{shared.io};
  std::thread thread;

  void accept() {
    acceptor.async_accept([this](Failure failed, Local::socket client) {
      if (failed == asio::error::operation_aborted) return;
      if (failed) return pause();
      // Those beyond the limit are told so, up to as many again.
      if (shared.connections < 2 * shared.options.connections_max) {
        std::make_shared<Relay>(shared, std::move(client))->start();
      }
      accept();
    });
  }

  // Descriptors have run out: to try at once would be to try for ever.
  void pause() {
    timer.expires_after(Millis(100));
    timer.async_wait([this](Failure) { accept(); });
  }

  void run() {
    while (true) {
      try {
        shared.io.run();
        return;
      } catch (const std::exception& thrown) {
        log_event(LogLevel::kError, "net.proxy_failed", {{"error", thrown.what()}});
      }
    }
  }
};

Proxy::Proxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Proxy::~Proxy() {
  impl_->shared.io.stop();
  impl_->thread.join();
}

Result<std::unique_ptr<Proxy>> Proxy::start(const std::filesystem::path& socket,
                                            ProxyOptions options) {
  BCAI_TRY_ASSIGN(UniqueFd listening, listen_at(socket));
  auto impl = std::make_unique<Impl>();
  impl->shared.options = std::move(options);
  Failure failed;
  impl->acceptor.assign(Local(), listening.get(), failed);
  if (failed)
    return error(ErrorCode::kInternal, "listen at {}: {}", socket.string(), failed.message());
  listening.release();
  impl->accept();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl->thread = std::thread([impl = impl.get()] { impl->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(impl->thread.native_handle(), "proxy");
  return std::unique_ptr<Proxy>(new Proxy(std::move(impl)));
}

}  // namespace bcai::net
