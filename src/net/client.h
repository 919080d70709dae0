// SPDX-License-Identifier: Apache-2.0
// An HTTP client, on libcurl. It keeps its connection open between requests, follows no redirect
// and speaks http, https and unix sockets only.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/server.h"

namespace bcai::net {

struct ClientOptions {
  std::string endpoint;           // "http://host:port", "https://…", "unix:/path"
  std::string bearer_token = {};  // sent as Authorization when not empty
  std::string ca_file = {};       // PEM, besides the system's
  Millis connect_timeout{5'000};
};

struct ClientRequest {
  std::string method = "GET";
  std::string target;  // path and query, percent-encoded: "/v1/jobs?limit=10"
  Headers headers = {};
  std::string body = {};
  Millis timeout{30'000};  // of the whole exchange; 0 is none. With on_body: without progress.
  int64_t body_bytes_max = 64 << 20;  // of the answer, where it is not taken by on_body
  // Takes the body of a 2xx answer in pieces, instead of ClientResponse::body. False ends it.
  std::function<bool(std::string_view piece)> on_body = {};
};

struct ClientResponse {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  std::string_view header(std::string_view name) const;
};

// One request at a time; cancel() alone may come from another thread.
class Client {
 public:
  static Result<Client> make(ClientOptions options);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Any status is a value. kUnavailable: no connection, or it broke. kDeadlineExceeded: the
  // timeout. kCancelled: cancel(), or on_body that ended it. kResourceExhausted: body_bytes_max.
  Result<ClientResponse> send(const ClientRequest& request);

  // Makes the request under way, and each later one, return kCancelled within milliseconds.
  void cancel();

  void set_bearer_token(std::string token);
  const std::string& endpoint() const;

  struct Impl;

 private:
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::string percent_encode(std::string_view text);

}  // namespace bcai::net
