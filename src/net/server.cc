// SPDX-License-Identifier: Apache-2.0
#include "net/server.h"

#include <optional>
#include <vector>

#include "net/connection.h"
#include "net/endpoint.h"
#include "net/listener.h"

namespace bcai::net {

struct Server::Impl {
  ServerState state;
  std::string endpoint;
  std::optional<Listener> listener;

  void stop() {
    state.loop.stop([this] {
      if (listener) listener->close();
      // Each leaves the set as it is closed.
      const std::vector<std::shared_ptr<Connection>> open(state.connections.begin(),
                                                          state.connections.end());
      for (const auto& connection : open) connection->close();
    });
  }
};

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, std::vector<Route> routes) {
  BCAI_TRY_ASSIGN(const ListenAddress address, parse_listen_address(options.listen));
  const bool tls = !options.tls_certificate_file.empty();
  if (tls == options.tls_key_file.empty()) {
    return error(ErrorCode::kInvalidArgument,
                 "TLS: expected a certificate file and a key file, found one of them");
  }
  if (tls && !address.unix_path.empty()) {
    return error(ErrorCode::kInvalidArgument, "TLS: not on a unix socket ({})", options.listen);
  }
  auto impl = std::make_unique<Impl>();
  BCAI_TRY_ASSIGN(impl->state.router, Router::make(std::move(routes)));
  if (tls) {
    BCAI_TRY_ASSIGN(impl->state.tls,
                    make_tls_context(options.tls_certificate_file, options.tls_key_file));
  }
  BCAI_TRY_ASSIGN(ListenSocket socket, listen_on(address));
  if (address.unix_path.empty()) {
    impl->endpoint = fmt::format("{}://{}", tls ? "https" : "http", socket.address);
  } else {
    impl->endpoint = "unix:" + socket.address;
  }
  impl->state.options = std::move(options);
  impl->listener.emplace(impl->state, std::move(socket), address.unix_path);
  impl->listener->arm();
  impl->state.loop.start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

std::string Server::endpoint() const { return impl_->endpoint; }

void Server::post(std::function<void()> task) { impl_->state.loop.post(std::move(task)); }

void Server::after(Millis delay, std::function<void()> task) {
  impl_->state.loop.after(delay, std::move(task));
}

void Server::stop() { impl_->stop(); }

size_t Server::connections() const { return impl_->state.connection_count; }

}  // namespace bcai::net
