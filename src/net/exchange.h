// SPDX-License-Identifier: Apache-2.0
// What a Reply or an EventStream, on any thread, shares with the connection on the loop's thread.
// Neither side calls into the other: they leave work in the loop's mailbox.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"

namespace bcai::net {

class Connection;

// One request and the right to answer it.
struct Exchange {
  std::shared_ptr<Mailbox> mailbox;
  std::weak_ptr<Connection> connection;
  std::atomic<bool> answered{false};  // the right is used up

  // The loop's thread only.
  bool over = false;       // answered in full, or given up
  bool peer_gone = false;  // given up
  std::function<void()> gone;
};

struct Reply::Impl {
  explicit Impl(std::shared_ptr<Exchange> shared) : exchange(std::move(shared)) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::shared_ptr<Exchange> exchange;
};

// The events that the peer has not taken. Thread-safe.
class StreamBuffer {
 public:
  explicit StreamBuffer(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  // From the stream's side.
  bool append(std::string text);
  size_t buffered_bytes();
  void close();

  // From the connection's side. What is taken counts as unsent until the next take().
  struct Taken {
    std::string bytes;
    bool closed = false;    // nothing follows
    bool overflow = false;  // events were lost: the stream must not end as if it were whole
  };
  Taken take();
  bool overflowed();
  void set_gone();

 private:
  void wake();

  const std::shared_ptr<Exchange> exchange_;
  std::mutex mutex_;
  std::string pending_;
  size_t in_flight_bytes_ = 0;
  bool closed_ = false;
  bool overflow_ = false;
  bool gone_ = false;
  bool woken_ = false;
};

struct EventStream::Impl {
  explicit Impl(std::shared_ptr<StreamBuffer> shared) : buffer(std::move(shared)) {}
  ~Impl() { buffer->close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::shared_ptr<StreamBuffer> buffer;
};

// The bytes of one event; a line feed in `id` or `event` becomes a space.
std::string format_event(std::string_view id, std::string_view event, std::string_view data);

}  // namespace bcai::net
