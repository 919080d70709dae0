// SPDX-License-Identifier: Apache-2.0
// The node's way to the coordinator: connections kept open and shared by the node's threads, the
// session, and what is to be thought of an answer. It registers when there is no session and again
// when the coordinator knows it no more. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "net/client.h"
#include "protocol/node.h"

namespace bcai::node {

// One connection, one request at a time; cancel() from any thread. A net::Client, or a test's.
struct Wire {
  std::function<Result<net::ClientResponse>(const net::ClientRequest&)> send;
  std::function<void()> cancel;
};
using Dial = std::function<Result<Wire>()>;

Dial dial_endpoint(std::string endpoint, std::string ca_file);

struct Answer {
  int status = 0;  // 0: the coordinator was not reached, or we have no session
  net::ClientResponse response;
  Error error{ErrorCode::kInternal, ""};  // unless ok()
  bool ok() const { return status >= 200 && status < 300; }
  // Asking again later may help.
  bool passing() const;
  Millis retry_after() const;
  // The whole number of this name in the JSON body; -1 without one.
  int64_t number(std::string_view name) const;
};

struct LinkOptions {
  Dial dial;
  std::string key;  // the operator's
  std::string name;
  SigningKey identity;
  Capabilities capabilities;
};

class Link {
 public:
  explicit Link(LinkOptions options) : options_(std::move(options)) {}

  // Registers if there is no session.
  Result<void> connect();

  // Sends with the session; "{node}" in the target becomes the node's id.
  Answer ask(net::ClientRequest request);
  // The same, on a connection that stop_polling() ends.
  Answer poll(net::ClientRequest request);

  // Waits; sooner when the coordinator answers again after it did not. False once stopped.
  bool pause(Millis pause);

  void stop_polling();
  void stop();  // every request, now and later, fails
  bool stopped() const { return stopped_; }

  bool connected() const { return reachable_ && !node_id().empty(); }
  std::string node_id() const;
  // Times the coordinator was lost.
  int64_t outages() const { return outages_; }

 private:
  struct Session {
    std::string node_id;
    std::string token;
  };
  struct Connection {
    Wire wire;
    bool polls = false;
    bool in_use = false;
  };

  Result<std::shared_ptr<Connection>> take_connection(bool polls);
  Answer send(Connection& connection, const net::ClientRequest& request);
  Answer send_with_session(net::ClientRequest request, bool polls);
  void give_back(const std::shared_ptr<Connection>& connection);
  Result<void> open_session(Connection& connection, const std::string& instead_of);
  Result<void> register_node(Connection& connection);
  void set_reachable(bool reachable);
  Session session() const;

  LinkOptions options_;
  std::mutex registering_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Session session_;
  std::vector<std::shared_ptr<Connection>> connections_;
  int64_t revivals_ = 0;
  std::atomic<bool> reachable_{false};
  std::atomic<bool> polling_stopped_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> outages_{0};
};

}  // namespace bcai::node
