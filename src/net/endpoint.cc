// SPDX-License-Identifier: Apache-2.0
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace bcai::net {
namespace {

constexpr int kBacklog = 4096;

std::optional<uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || status != std::errc() || end != text.data() + text.size()) return {};
  if (port > 65535) return {};
  return static_cast<uint16_t>(port);
}

Result<sockaddr_un> unix_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return error(ErrorCode::kInvalidArgument, "unix:{}: the path has {} bytes, expected 1 to {}",
                 path, path.size(), sizeof address.sun_path - 1);
  }
  if (path.find('\0') != std::string_view::npos) {
    return error(ErrorCode::kInvalidArgument, "unix: the path holds a NUL byte");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Error cannot_listen(std::string_view where, int errno_value) {
  return error(ErrorCode::kUnavailable, "cannot listen on {}: {}", where,
               std::strerror(errno_value));
}

// Removes a socket that nobody listens on, so that a server that was killed can start again.
Result<void> clear_stale_socket(const sockaddr_un& address, const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) {
    return error(ErrorCode::kUnavailable,
                 "cannot listen on unix:{}: a file that is not a socket is in the way", path);
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return cannot_listen("unix:" + path, errno);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(probe.get(), generic, sizeof address) == 0 || errno != ECONNREFUSED) {
    return error(ErrorCode::kUnavailable, "cannot listen on unix:{}: another process does", path);
  }
  if (::unlink(path.c_str()) != 0) return cannot_listen("unix:" + path, errno);
  return {};
}

Result<ListenSocket> listen_unix(const std::string& path) {
  BCAI_TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  BCAI_TRY(clear_stale_socket(address, path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return cannot_listen("unix:" + path, errno);
  // Before bind: the path then appears with this mode, never with a wider one.
  if (::fchmod(fd.get(), 0600) != 0) return cannot_listen("unix:" + path, errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return cannot_listen("unix:" + path, errno);
  }
  return ListenSocket{std::move(fd), path};
}

struct AddressInfoFree {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

std::string address_text(const sockaddr_storage& storage, bool wildcard_as_loopback) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    auto address = reinterpret_cast<const sockaddr_in&>(storage);
    if (wildcard_as_loopback && address.sin_addr.s_addr == htonl(INADDR_ANY)) {
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(address.sin_port));
  }
  auto address = reinterpret_cast<const sockaddr_in6&>(storage);
  if (wildcard_as_loopback && IN6_IS_ADDR_UNSPECIFIED(&address.sin6_addr)) {
    address.sin6_addr = in6addr_loopback;
  }
  ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
  return fmt::format("[{}]:{}", text, ntohs(address.sin6_port));
}

// What a client on this machine reaches the bound socket by.
std::string bound_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return address_text(storage, true);
}

Result<ListenSocket> listen_tcp(const ListenAddress& address) {
  const std::string where = fmt::format("{}:{}", address.host, address.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int status = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  if (status != 0) {
    return error(ErrorCode::kUnavailable, "cannot listen on {}: {}", where, ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, AddressInfoFree> owner(list);
  int errno_last = EADDRNOTAVAIL;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    UniqueFd fd(::socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (fd && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(fd.get(), entry->ai_addr, entry->ai_addrlen) == 0 &&
        ::listen(fd.get(), kBacklog) == 0) {
      std::string bound = bound_address(fd.get());
      return ListenSocket{std::move(fd), std::move(bound)};
    }
    errno_last = errno;
  }
  return cannot_listen(where, errno_last);
}

// Splits "host:port" and "[host]:port"; without a port, `port` stays empty.
struct Authority {
  std::string_view host;
  std::optional<std::string_view> port;
};
std::optional<Authority> split_authority(std::string_view text) {
  Authority parts;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    parts.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return {};
    if (!rest.empty()) parts.port = rest.substr(1);
  } else {
    const size_t colon = text.find(':');
    parts.host = text.substr(0, colon);
    if (colon != std::string_view::npos) parts.port = text.substr(colon + 1);
  }
  constexpr std::string_view kForbidden = "/?#@[]\\ \t\r\n%\"<>";
  if (parts.host.empty() || parts.host.find_first_of(kForbidden) != std::string_view::npos) {
    return {};
  }
  if (parts.host.find('\0') != std::string_view::npos) return {};
  return parts;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  ListenAddress address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    BCAI_TRY(unix_address(address.unix_path));
    return address;
  }
  const auto parts = split_authority(text);
  const auto port = parts && parts->port ? parse_port(*parts->port) : std::nullopt;
  if (!port) {
    return error(ErrorCode::kInvalidArgument,
                 "listen address: expected \"host:port\", \"[host]:port\" or \"unix:/path\", "
                 "found \"{}\"",
                 text);
  }
  address.host = parts->host;
  address.port = *port;
  return address;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  if (text.starts_with("unix:")) {
    endpoint.unix_path = text.substr(5);
    endpoint.base_url = "http://localhost";
    endpoint.host = "localhost";
    BCAI_TRY(unix_address(endpoint.unix_path));
    return endpoint;
  }
  std::string_view rest = text;
  std::string_view scheme;
  for (const std::string_view known : {"http://", "https://"}) {
    if (text.starts_with(known)) scheme = known;
  }
  rest.remove_prefix(scheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto parts = split_authority(rest);
  if (scheme.empty() || !parts || (parts->port && !parse_port(*parts->port))) {
    return error(ErrorCode::kInvalidArgument,
                 "endpoint: expected \"http://host:port\", \"https://host\" or \"unix:/path\", "
                 "found \"{}\"",
                 text);
  }
  endpoint.base_url = fmt::format("{}{}", scheme, rest);
  endpoint.host = parts->host;
  return endpoint;
}

Result<ListenSocket> listen_on(const ListenAddress& address) {
  return address.unix_path.empty() ? listen_tcp(address) : listen_unix(address.unix_path);
}

std::string peer_text(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "unknown";
  if (storage.ss_family == AF_UNIX) return "unix";
  return address_text(storage, false);
}

}  // namespace bcai::net
