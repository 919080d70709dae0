// SPDX-License-Identifier: Apache-2.0
// For tests: a server, and a peer that speaks to a server byte by byte, over TCP or a unix socket.
// Reading gives up after ten seconds, so that a test fails instead of hanging.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "net/server.h"

namespace bcai::net {

inline std::unique_ptr<Server> serve(ServerOptions options, std::vector<Route> routes) {
  Result<std::unique_ptr<Server>> server = Server::start(std::move(options), std::move(routes));
  EXPECT_TRUE(server) << server.error().message;
  return server ? *std::move(server) : nullptr;
}

class TestPeer {
 public:
  // The endpoint of a Server: "http://127.0.0.1:port" or "unix:/path".
  explicit TestPeer(std::string_view endpoint) {
    if (endpoint.starts_with("unix:")) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::memcpy(address.sun_path, endpoint.data() + 5, endpoint.size() - 5);
      open(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else {
      const std::string text(endpoint);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(text.rfind(':') + 1))));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      open(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  }

  int fd() const { return fd_.get(); }
  bool connected() const { return connected_; }

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Reads until what was read since the last call holds `mark`; that and what is before it. What
  // was read when the peer closed or time ran out, if it never does.
  std::string read_until(std::string_view mark) {
    while (true) {
      const size_t at = buffer_.find(mark);
      if (at != std::string::npos) {
        std::string text = buffer_.substr(0, at + mark.size());
        buffer_.erase(0, at + mark.size());
        return text;
      }
      if (!read_more()) return std::exchange(buffer_, std::string());
    }
  }

  std::string read_bytes(size_t count) {
    while (buffer_.size() < count && read_more()) {
    }
    std::string text = buffer_.substr(0, count);
    buffer_.erase(0, text.size());
    return text;
  }

  // All until the server closes. "(open)" is appended if it does not.
  std::string read_all() {
    while (read_more()) {
    }
    if (!ended_) buffer_ += "(open)";
    return std::exchange(buffer_, std::string());
  }

  // Head and body of one answer with a Content-Length.
  std::string read_answer() {
    std::string text = read_until("\r\n\r\n");
    const size_t at = text.find("Content-Length: ");
    if (at != std::string::npos) text += read_bytes(std::stoul(text.substr(at + 16)));
    return text;
  }

  void end_writing() const { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  // Closes with a reset.
  void abort() {
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
  }

 private:
  void open(int family, const sockaddr* address, socklen_t size) {
    fd_.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_.get(), address, size) == 0;
  }

  bool read_more() {
    char bytes[16 * 1024];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (got > 0) buffer_.append(bytes, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno == ECONNRESET)) ended_ = true;
    return got > 0;
  }

  UniqueFd fd_;
  std::string buffer_;
  bool connected_ = false;
  bool ended_ = false;
};

}  // namespace bcai::net
