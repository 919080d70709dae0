// SPDX-License-Identifier: Apache-2.0
#include "net/connection.h"

#include <unistd.h>

#include <ctime>
#include <exception>

#include "base/log.h"
#include "net/endpoint.h"
#include "net/header.h"

namespace bcai::net {
namespace {

constexpr Instant kNever{INT64_MAX};
constexpr Millis kHandshakeTimeout{15'000};
// Requests that come in behind one that is being answered are kept up to this.
constexpr size_t kPipelinedBytesMax = size_t{64} * 1024;
// A body that moves at least this fast is not slow, however long it is.
constexpr uint64_t kBodyBytesPerMs = 16;
// Reads in a row before others get their turn.
constexpr int kReadsMax = 8;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

int64_t monotonic_us() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1'000'000 + at.tv_nsec / 1000;
}

std::string_view ServerState::http_date() {
  const WallTime now = loop.clock().wall();
  if (now.ms / 1000 != date_second) {
    date_second = now.ms / 1000;
    date = format_http_date(now);
  }
  return date;
}

Connection::Connection(ServerState& server, UniqueFd fd)
    : server_(server),
      descriptor_(server.loop.io()),
      transport_(fd.get(), server.tls.get()),
      peer_(peer_text(fd.get())) {
  boost::system::error_code status;
  descriptor_.assign(fd.get(), status);
  if (status) {
    phase_ = Phase::kClosed;
  } else {
    fd.release();
  }
}

Connection::~Connection() = default;

void Connection::start() {
  if (phase_ == Phase::kClosed) return close();
  deadline_ = server_.loop.now() + server_.options.idle_timeout;
  if (transport_.is_tls()) {
    phase_ = Phase::kHandshake;
    deadline_ = server_.loop.now() + kHandshakeTimeout;
  }
  arm_read();
}

void Connection::close() {
  if (phase_ != Phase::kClosed) {
    phase_ = Phase::kClosed;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
  }
  if (outgoing_ != nullptr && outgoing_->stream != nullptr) outgoing_->stream->set_gone();
  if (exchange_ != nullptr) {
    exchange_->over = true;
    exchange_->peer_gone = true;
    if (exchange_->gone) server_.loop.post(std::exchange(exchange_->gone, nullptr));
    exchange_.reset();
  }
  incoming_.reset();
  if (server_.connections.erase(shared_from_this()) > 0) --server_.connection_count;
}

void Connection::arm_read() {
  if (read_armed_ || phase_ == Phase::kClosed) return;
  read_armed_ = true;
  descriptor_.async_wait(Descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code&) {
                           self->read_armed_ = false;
                           if (self->phase_ != Phase::kClosed) self->on_readable();
                         });
}

void Connection::arm_write() {
  if (write_armed_ || phase_ == Phase::kClosed) return;
  write_armed_ = true;
  descriptor_.async_wait(Descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code&) {
                           self->write_armed_ = false;
                           if (self->phase_ != Phase::kClosed) self->on_writable();
                         });
}

// For a peer from which nothing more is read: tells when the connection breaks.
void Connection::arm_broken() {
  if (broken_armed_ || phase_ == Phase::kClosed) return;
  broken_armed_ = true;
  descriptor_.async_wait(
      Descriptor::wait_error, [self = shared_from_this()](const boost::system::error_code& status) {
        self->broken_armed_ = false;
        const bool open =
            !status && (self->phase_ == Phase::kParked || self->phase_ == Phase::kStreaming);
        if (open) self->close();
      });
}

void Connection::on_readable() {
  switch (phase_) {
    case Phase::kHandshake: return do_handshake();
    case Phase::kRequest: return read_request();
    case Phase::kParked:
    case Phase::kAnswering:
    case Phase::kStreaming: return watch_peer();
    case Phase::kDraining: return drain();
    case Phase::kClosed: return;
  }
}

void Connection::on_writable() {
  switch (phase_) {
    case Phase::kHandshake: return do_handshake();
    case Phase::kRequest: return read_request();
    case Phase::kAnswering:
    case Phase::kStreaming: return continue_write();
    case Phase::kParked:
    case Phase::kDraining:
    case Phase::kClosed: return;
  }
}

void Connection::do_handshake() {
  switch (transport_.handshake().io) {
    case Io::kDone:
      phase_ = Phase::kRequest;
      deadline_ = server_.loop.now() + server_.options.idle_timeout;
      return read_request();
    case Io::kWaitRead: return arm_read();
    case Io::kWaitWrite: return arm_write();
    case Io::kEnd:
    case Io::kBroken: return close();
  }
}

void Connection::read_request() {
  for (int reads = 0; reads < kReadsMax && phase_ == Phase::kRequest; ++reads) {
    const auto scratch = server_.loop.scratch();
    const IoResult result = transport_.read(scratch);
    switch (result.io) {
      case Io::kDone:
        in_.append(scratch.data(), result.bytes);
        process();
        if (result.bytes < scratch.size() && !transport_.is_tls()) return arm_read();
        break;
      case Io::kWaitRead: return arm_read();
      case Io::kWaitWrite: return arm_write();
      case Io::kEnd:
      case Io::kBroken: return close();
    }
  }
  if (phase_ == Phase::kRequest && transport_.has_pending()) {
    // OpenSSL holds bytes that the socket will not announce.
    server_.loop.post([self = shared_from_this()] {
      if (self->phase_ == Phase::kRequest) self->read_request();
    });
  } else {
    arm_read();
  }
}

// While a request is being answered: the peer may send the next one, or go.
void Connection::watch_peer() {
  const auto scratch = server_.loop.scratch();
  const IoResult result = transport_.read(scratch);
  switch (result.io) {
    case Io::kDone:
      in_.append(scratch.data(), result.bytes);
      return in_.size() < kPipelinedBytesMax ? arm_read() : arm_broken();
    case Io::kWaitRead: return arm_read();
    case Io::kWaitWrite: return;
    case Io::kEnd:
      peer_ended_ = true;
      keep_alive_ = false;
      if (phase_ == Phase::kStreaming) return close();
      if (phase_ == Phase::kParked && exchange_->gone) return close();
      // It may have ended its side only, and still read: `printf … | nc` does.
      return arm_broken();
    case Io::kBroken: return close();
  }
}

void Connection::check_peer(const std::shared_ptr<Exchange>& exchange) {
  if (exchange == exchange_ && phase_ == Phase::kParked && peer_ended_) close();
}

void Connection::process() {
  if (processing_) return;
  processing_ = true;
  while (phase_ == Phase::kRequest && !in_.empty() && step()) {
  }
  processing_ = false;
  if (in_.empty()) in_ = std::string();
}

// Takes what it can from the input. False when more must come.
bool Connection::step() {
  if (incoming_ == nullptr) {
    incoming_ = std::make_unique<Incoming>(server_);
    incoming_->started = server_.loop.now();
    started_us_ = monotonic_us();
    method_.clear();
    route_ = {};
  }
  RequestParser& parser = incoming_->parser;
  const size_t taken = parser.feed(in_);
  in_.erase(0, taken);
  incoming_->received_bytes += taken;
  deadline_ = incoming_->started + server_.options.request_timeout +
              Millis(static_cast<int64_t>(incoming_->received_bytes / kBodyBytesPerMs));
  using State = RequestParser::State;
  if (!incoming_->head_seen && (parser.state() == State::kBody || parser.state() == State::kDone)) {
    incoming_->head_seen = true;
    if (!on_head()) return true;
  }
  hold_body_bytes();
  if (phase_ != Phase::kRequest) return true;
  if (parser.state() == State::kRefused) {
    refuse(parser.refusal());
  } else if (parser.state() == State::kDone) {
    dispatch();
  }
  return taken > 0;
}

// Routes the request before its body is read. False when it has been answered.
bool Connection::on_head() {
  RequestParser& parser = incoming_->parser;
  RequestHead& head = parser.head();
  method_ = head.method;
  keep_alive_ = head.keep_alive && !peer_ended_;
  http_1_0_ = head.http_1_0;
  Result<Target> target = parse_target(head.target);
  if (!target) {
    refuse({400, ErrorCode::kInvalidArgument, target.error().message});
    return false;
  }
  incoming_->target = *std::move(target);
  incoming_->match = server_.router.match(method_, incoming_->target.segments);
  const Route* route = incoming_->match.route;
  if (route == nullptr) {
    const std::string allow = incoming_->match.allow;
    const std::string path = incoming_->target.path;
    if (allow.empty()) {
      refuse({404, ErrorCode::kNotFound, fmt::format("{}: there is no such path", path)});
    } else {
      refuse(
          {405, ErrorCode::kUnimplemented, fmt::format("{} {}: expected {}", method_, path, allow)},
          {{"Allow", allow}});
    }
    return false;
  }
  route_ = route->pattern;
  parser.limit_body(route->options.body_bytes_max);
  if (parser.state() == RequestParser::State::kBody && head.expects_continue && in_.empty()) {
    // So few bytes always fit into an idle socket; if not, the peer is not worth a buffer.
    const IoResult result = transport_.write(kContinue);
    if (result.io != Io::kDone || result.bytes != kContinue.size()) close();
  }
  return phase_ == Phase::kRequest;
}

// Bounds what requests in the making hold all together.
void Connection::hold_body_bytes() {
  const uint64_t held = incoming_->parser.body().size();
  server_.body_bytes_held += held - incoming_->held_bytes;
  incoming_->held_bytes = held;
  if (held > 0 && server_.body_bytes_held > server_.options.body_bytes_total_max) {
    refuse({503, ErrorCode::kUnavailable, "too many large requests at once; try again"},
           {{"Retry-After", "1"}});
  }
}

void Connection::dispatch() {
  RequestHead& head = incoming_->parser.head();
  Request request{.method = std::move(head.method),
                  .path = std::move(incoming_->target.path),
                  .query = std::move(incoming_->target.query),
                  .params = std::move(incoming_->match.params),
                  .headers = std::move(head.headers),
                  .body = std::move(incoming_->parser.body()),
                  .peer = peer_,
                  .route = route_};
  const Handler& handler = incoming_->match.route->handler;
  incoming_.reset();
  exchange_ = std::make_shared<Exchange>();
  exchange_->mailbox = server_.loop.mailbox();
  exchange_->connection = weak_from_this();
  phase_ = Phase::kParked;
  deadline_ = kNever;
  try {
    handler(std::move(request), Reply(std::make_shared<Reply::Impl>(exchange_)));
  } catch (const std::exception& thrown) {
    log_event(LogLevel::kError, "net.handler_failed",
              {{"method", method_}, {"route", route_}, {"error", thrown.what()}});
  }
}

void Connection::sweep(Instant now) {
  if (phase_ == Phase::kStreaming) return sweep_stream(now);
  if (now < deadline_) return;
  if (phase_ == Phase::kRequest && incoming_ != nullptr) {
    refuse({408, ErrorCode::kDeadlineExceeded, "the request did not come in whole in time"});
  } else {
    close();
  }
}

}  // namespace bcai::net
