// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server: one thread, one loop, callbacks. Handlers run on the loop's thread and must
// not block it; what takes time goes elsewhere and answers later, from any thread, through Reply.
//
// The server refuses what it cannot read exactly (RFC 9112): both Content-Length and
// Transfer-Encoding, codings other than chunked, a missing or second Host, folded headers. Such a
// request gets a problem+json answer and its connection is closed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace bcai::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;                           // percent-decoded, without the query
  std::map<std::string, std::string> query;   // percent-decoded; the last of equal names
  std::map<std::string, std::string> params;  // {id} of the route's pattern
  Headers headers;                            // as sent
  std::string body;
  std::string peer;        // "127.0.0.1:53412" or "unix"
  std::string_view route;  // the pattern that matched

  // The first header of that name, compared without case; "" when absent.
  std::string_view header(std::string_view name) const;
};

// A part of a file as the body.
struct FileBody {
  std::string path;
  int64_t offset = 0;
  int64_t bytes = 0;
};

struct Response {
  int status = 200;
  // Content-Length, Connection and Date are the server's. Only an answer to HEAD that has neither
  // body nor file states a Content-Length here.
  Headers headers = {};
  std::string body = {};
  std::optional<FileBody> file = {};  // instead of `body`
};

// A text/event-stream that has begun. Copies speak to the same peer. Thread-safe. What a slow peer
// has not taken is kept up to `kBufferBytesMax`; beyond it send() returns false and the stream ends
// (the peer resumes with Last-Event-ID).
class EventStream {
 public:
  static constexpr size_t kBufferBytesMax = 1 << 20;

  // id and event may be empty. False once the peer is gone.
  bool send(std::string_view id, std::string_view event, std::string_view data) const;
  // What the peer has not taken yet: a sender of much waits until it is little.
  size_t buffered_bytes() const;
  void close() const;

  struct Impl;
  explicit EventStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<Impl> impl_;
};

// The right to answer one request, once. Thread-safe, movable, copies share the right: the first
// answer counts. Dropped without one, the peer gets 500.
class Reply {
 public:
  void send(Response response) const;
  // Answers with a stream of server-sent events; a comment now and then keeps it open.
  EventStream stream(Headers headers = {}) const;
  // Calls `gone` on the loop's thread if the peer closes before it was answered in full, or while
  // its stream is open.
  void on_peer_gone(std::function<void()> gone) const;

  struct Impl;
  explicit Reply(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<Impl> impl_;
};

using Handler = std::function<void(Request, Reply)>;

struct RouteOptions {
  size_t body_bytes_max = 1 << 20;  // more is answered 413 without being read
};

struct Route {
  std::string method;
  std::string pattern;  // "/v1/jobs/{id}"; {name} matches one segment
  Handler handler;
  RouteOptions options = {};
};

struct ServerOptions {
  std::string listen = "127.0.0.1:0";     // host:port, [host]:port, or unix:/path
  std::string tls_certificate_file = {};  // PEM; both or none
  std::string tls_key_file = {};
  size_t connections_max = 15000;   // further ones are closed at once
  Millis idle_timeout{75'000};      // between requests
  Millis request_timeout{60'000};   // first byte to last of one request, while bytes move slowly
  Millis stream_heartbeat{15'000};  // a comment on an event stream that is silent for so long
  uint64_t body_bytes_total_max = 256 << 20;  // of all requests that are coming in; then 503
  // After each answer, on the loop's thread; route is "" when none matched.
  std::function<void(std::string_view method, std::string_view route, int status,
                     std::chrono::microseconds took)>
      on_request = {};
  // The problem+json body of an answer the server makes itself (400, 404, 405, 408, 413, 414, 417,
  // 431, 500, 501, 503); `status` is the one it is sent with, which no code gives exactly.
  std::function<std::string(int status, ErrorCode code, std::string_view detail)> problem = {};
};

class Server {
 public:
  // Binds, then serves on a thread of its own. A path of a unix socket that is in the way is
  // removed when nobody listens on it. kInvalidArgument names a bad option, kUnavailable an
  // address that cannot be bound.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, std::vector<Route> routes);
  ~Server();  // stops

  // "http://127.0.0.1:8321", "https://…" or "unix:/path": what a Client takes.
  std::string endpoint() const;

  // Runs on the loop's thread, soon or after the time. Thread-safe. Dropped by stop().
  void post(std::function<void()> task);
  void after(Millis delay, std::function<void()> task);

  // Closes every connection and joins the thread. Requests still open are dropped.
  void stop();

  size_t connections() const;

  struct Impl;

 private:
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::net
