// SPDX-License-Identifier: Apache-2.0
// One accepted connection: reads a request, waits for its answer, writes it, and begins again.
// Everything runs on the loop's thread and never waits. It holds no buffer while it has nothing to
// say; ten thousand that wait are a normal load.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/file.h"
#include "net/exchange.h"
#include "net/loop.h"
#include "net/request_parser.h"
#include "net/router.h"
#include "net/server.h"
#include "net/target.h"
#include "net/transport.h"

namespace bcai::net {

// For how long something took; decisions about time take the loop's clock.
int64_t monotonic_us();

// What the connections of one server share.
struct ServerState {
  ServerOptions options;
  Router router;
  TlsContext tls;  // nullptr: plain
  std::atomic<size_t> connection_count{0};
  std::unordered_set<std::shared_ptr<Connection>> connections;
  uint64_t body_bytes_held = 0;  // of requests that have not come in whole
  int64_t date_second = -1;
  std::string date;
  Loop loop;  // last: it goes first, and with it all that waits

  std::string_view http_date();
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerState& server, UniqueFd fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void close();
  // Once a second: deadlines, and the sign of life on a stream.
  bool wants_sweep(Instant now) const { return now >= deadline_; }
  void sweep(Instant now);

  // From Reply and EventStream. Without effect when the exchange is not the one that is open.
  void answer(const std::shared_ptr<Exchange>& exchange, Response response);
  void answer_dropped(const std::shared_ptr<Exchange>& exchange);
  void begin_stream(const std::shared_ptr<Exchange>& exchange, Headers headers,
                    std::shared_ptr<StreamBuffer> buffer);
  void flush_stream(const std::shared_ptr<Exchange>& exchange);
  void check_peer(const std::shared_ptr<Exchange>& exchange);

 private:
  enum class Phase : uint8_t {
    kHandshake,
    kRequest,  // idle, or a request is coming in
    kParked,   // a handler has it
    kAnswering,
    kStreaming,
    kDraining,  // all is said; what the peer still sends is thrown away
    kClosed,
  };

  // A request that is coming in.
  struct Incoming {
    explicit Incoming(ServerState& state) : server(state) {}
    ~Incoming() { server.body_bytes_held -= held_bytes; }
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;

    ServerState& server;
    RequestParser parser;
    Target target;
    RouteMatch match;
    Instant started;
    uint64_t held_bytes = 0;
    uint64_t received_bytes = 0;
    bool head_seen = false;
  };

  // An answer that is going out.
  struct Outgoing {
    std::string bytes;
    size_t offset = 0;
    std::string body;  // after `bytes`
    UniqueFd file;     // after `body`
    int64_t file_offset = 0;
    int64_t file_bytes_left = 0;
    std::shared_ptr<StreamBuffer> stream;
    Instant moved;      // when a byte last went
    bool last = false;  // the stream's end is in `bytes`
    bool chunked = false;
  };

  // Input, in connection.cc.
  void arm_read();
  void arm_write();
  void arm_broken();
  void on_readable();
  void on_writable();
  void do_handshake();
  void read_request();
  void watch_peer();
  void process();
  bool step();
  bool on_head();
  void hold_body_bytes();
  void dispatch();

  // Output, in connection_output.cc.
  void refuse(const Refusal& refusal, Headers headers = {});
  void begin_answer(Response response);
  bool open_file(const FileBody& file);
  void continue_write();
  IoResult write_some();
  bool refill();
  bool refill_stream();
  void sweep_stream(Instant now);
  void finish_answer();
  void begin_drain();
  void drain();

  ServerState& server_;
  Descriptor descriptor_;
  Transport transport_;
  std::string in_;  // bytes that no request has taken yet
  std::unique_ptr<Incoming> incoming_;
  std::shared_ptr<Exchange> exchange_;
  std::unique_ptr<Outgoing> outgoing_;
  std::string peer_;
  std::string method_;
  std::string_view route_;
  Instant deadline_;
  int64_t started_us_ = 0;
  int status_ = 0;
  Phase phase_ = Phase::kRequest;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool broken_armed_ = false;
  bool processing_ = false;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool peer_ended_ = false;  // its side of the connection
};

}  // namespace bcai::net
