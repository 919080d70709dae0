// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "net/connection.h"
#include "net/header.h"

namespace bcai::net {
namespace {

// Small bodies travel with the head in one write.
constexpr size_t kJoinedBytesMax = size_t{16} * 1024;
// How long a peer may go on sending what will not be read, so that it sees the answer first.
constexpr Millis kDrainTimeout{2'000};
constexpr int kDrainReadsMax = 16;
constexpr size_t kTurnBytesMax = 4 << 20;

std::string chunk_of(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

// For an answer to HEAD that has neither body nor file: the length that a handler states.
uint64_t stated_length(const Headers& headers) {
  const std::string_view text = find_value(headers, "Content-Length");
  uint64_t length = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || length > UINT64_MAX / 10 - 1) return 0;
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  return length;
}

}  // namespace

void Connection::refuse(const Refusal& refusal, Headers headers) {
  const bool body_unread =
      incoming_ != nullptr && incoming_->parser.state() != RequestParser::State::kDone;
  if (body_unread || refusal.status == 400) keep_alive_ = false;
  // The refusal may be that of the parser in it.
  const std::unique_ptr<Incoming> incoming = std::move(incoming_);
  Response response{.status = refusal.status, .headers = std::move(headers)};
  if (server_.options.problem) {
    response.headers.emplace_back("Content-Type", "application/problem+json");
    response.body = server_.options.problem(refusal.status, refusal.code, refusal.detail);
  } else {
    response.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
    response.body = refusal.detail + "\n";
  }
  begin_answer(std::move(response));
}

void Connection::answer(const std::shared_ptr<Exchange>& exchange, Response response) {
  if (exchange != exchange_ || phase_ != Phase::kParked) return;
  begin_answer(std::move(response));
}

void Connection::answer_dropped(const std::shared_ptr<Exchange>& exchange) {
  if (exchange != exchange_ || phase_ != Phase::kParked) return;
  log_event(LogLevel::kError, "net.unanswered", {{"method", method_}, {"route", route_}});
  refuse({500, ErrorCode::kInternal, "the request was not answered"});
}

void Connection::begin_answer(Response response) {
  outgoing_ = std::make_unique<Outgoing>();
  uint64_t length = response.body.size();
  const bool head_only = method_ == "HEAD";
  if (response.file) {
    response.body.clear();
    length = static_cast<uint64_t>(std::max<int64_t>(response.file->bytes, 0));
    if (!head_only && !open_file(*response.file)) {
      return refuse({500, ErrorCode::kInternal, "the file of the answer cannot be read"});
    }
  } else if (head_only && length == 0) {
    length = stated_length(response.headers);
  }
  const bool bodiless = response.status == 204 || response.status == 304;
  status_ = response.status;
  outgoing_->bytes = format_response_head({.status = response.status,
                                           .headers = response.headers,
                                           .framing = bodiless ? Framing::kNone : Framing::kLength,
                                           .content_length = length,
                                           .keep_alive = keep_alive_},
                                          server_.http_date());
  if (head_only || bodiless) {
    outgoing_->file.reset();
    outgoing_->file_bytes_left = 0;
  } else if (response.body.size() <= kJoinedBytesMax) {
    outgoing_->bytes += response.body;
  } else {
    outgoing_->body = std::move(response.body);
  }
  phase_ = Phase::kAnswering;
  outgoing_->moved = server_.loop.now();
  deadline_ = outgoing_->moved + server_.options.request_timeout;
  continue_write();
}

bool Connection::open_file(const FileBody& file) {
  UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat status {};
  const bool usable = fd && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                      file.offset >= 0 && file.bytes >= 0 &&
                      file.bytes <= status.st_size - file.offset;
  if (!usable) {
    log_event(LogLevel::kError, "net.file_unusable",
              {{"path", file.path}, {"offset", file.offset}, {"bytes", file.bytes}});
    return false;
  }
  outgoing_->file = std::move(fd);
  outgoing_->file_offset = file.offset;
  outgoing_->file_bytes_left = file.bytes;
  return true;
}

void Connection::begin_stream(const std::shared_ptr<Exchange>& exchange, Headers headers,
                              std::shared_ptr<StreamBuffer> buffer) {
  if (exchange != exchange_ || phase_ != Phase::kParked) return buffer->set_gone();
  if (peer_ended_) {
    buffer->set_gone();
    return close();
  }
  headers.emplace_back("Content-Type", "text/event-stream");
  headers.emplace_back("Cache-Control", "no-store");
  headers.emplace_back("X-Accel-Buffering", "no");
  if (http_1_0_) keep_alive_ = false;
  status_ = 200;
  outgoing_ = std::make_unique<Outgoing>();
  outgoing_->chunked = !http_1_0_;
  outgoing_->bytes =
      format_response_head({.headers = headers,
                            .framing = http_1_0_ ? Framing::kUntilClose : Framing::kChunked,
                            .keep_alive = keep_alive_},
                           server_.http_date());
  outgoing_->moved = server_.loop.now();
  if (method_ == "HEAD") {
    buffer->set_gone();
    phase_ = Phase::kAnswering;
  } else {
    outgoing_->stream = std::move(buffer);
    phase_ = Phase::kStreaming;
  }
  deadline_ = outgoing_->moved + server_.options.stream_heartbeat;
  continue_write();
}

void Connection::flush_stream(const std::shared_ptr<Exchange>& exchange) {
  if (exchange != exchange_ || phase_ != Phase::kStreaming) return;
  if (outgoing_->stream->overflowed()) return close();
  // While a write waits for the socket, its end takes what has gathered.
  if (!write_armed_) continue_write();
}

void Connection::sweep_stream(Instant now) {
  const Millis quiet = now - outgoing_->moved;
  if (write_armed_) {
    if (quiet >= server_.options.request_timeout) close();
    return;
  }
  if (quiet < server_.options.stream_heartbeat) return;
  constexpr std::string_view kComment = ":\n\n";
  outgoing_->bytes = outgoing_->chunked ? chunk_of(kComment) : std::string(kComment);
  outgoing_->offset = 0;
  continue_write();
}

void Connection::continue_write() {
  size_t written_bytes = 0;
  while (outgoing_->offset < outgoing_->bytes.size() || refill()) {
    // A peer that reads as fast as this writes must not keep the loop from the others.
    if (written_bytes >= kTurnBytesMax) return arm_write();
    const IoResult result = write_some();
    switch (result.io) {
      case Io::kDone: written_bytes += result.bytes; break;
      case Io::kWaitWrite: return arm_write();
      case Io::kWaitRead:
      case Io::kEnd:
      case Io::kBroken: return close();
    }
  }
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kStreaming && !outgoing_->last) return arm_read();
  finish_answer();
}

IoResult Connection::write_some() {
  Outgoing& out = *outgoing_;
  IoResult result;
  if (out.offset < out.bytes.size()) {
    result = transport_.write(std::string_view(out.bytes).substr(out.offset));
    if (result.io == Io::kDone) out.offset += result.bytes;
  } else {
    const auto bytes = static_cast<size_t>(std::min<int64_t>(out.file_bytes_left, 1 << 20));
    result = transport_.write_file(out.file.get(), out.file_offset, bytes);
    if (result.io == Io::kDone) {
      out.file_offset += static_cast<int64_t>(result.bytes);
      out.file_bytes_left -= static_cast<int64_t>(result.bytes);
    }
  }
  if (result.io == Io::kDone) {
    out.moved = server_.loop.now();
    deadline_ = out.moved + (phase_ == Phase::kStreaming ? server_.options.stream_heartbeat
                                                         : server_.options.request_timeout);
  }
  return result;
}

// Called when `bytes` is out. True when there is more to write.
bool Connection::refill() {
  Outgoing& out = *outgoing_;
  out.bytes = std::exchange(out.body, std::string());
  out.offset = 0;
  if (!out.bytes.empty()) return true;
  if (out.stream != nullptr) return refill_stream();
  if (out.file_bytes_left == 0) return false;
  if (!transport_.is_tls()) return true;
  const auto scratch = server_.loop.scratch();
  const size_t wanted =
      static_cast<size_t>(std::min<int64_t>(out.file_bytes_left, int64_t(scratch.size())));
  const ssize_t got = ::pread(out.file.get(), scratch.data(), wanted, out.file_offset);
  if (got <= 0) {
    // Shorter than announced: only a broken connection tells the peer.
    close();
    return false;
  }
  out.bytes.assign(scratch.data(), static_cast<size_t>(got));
  out.file_offset += got;
  out.file_bytes_left -= got;
  return true;
}

bool Connection::refill_stream() {
  Outgoing& out = *outgoing_;
  if (out.last) return false;
  const StreamBuffer::Taken taken = out.stream->take();
  if (taken.overflow) {
    close();
    return false;
  }
  if (!taken.bytes.empty()) out.bytes = out.chunked ? chunk_of(taken.bytes) : taken.bytes;
  if (taken.closed) {
    out.last = true;
    if (out.chunked) out.bytes += "0\r\n\r\n";
  }
  return !out.bytes.empty();
}

void Connection::finish_answer() {
  if (outgoing_->stream != nullptr) outgoing_->stream->set_gone();
  outgoing_.reset();
  if (exchange_ != nullptr) {
    exchange_->over = true;
    exchange_->gone = nullptr;
    exchange_.reset();
  }
  if (server_.options.on_request) {
    server_.options.on_request(method_, route_, status_,
                               std::chrono::microseconds(monotonic_us() - started_us_));
  }
  if (!keep_alive_) return begin_drain();
  phase_ = Phase::kRequest;
  deadline_ = server_.loop.now() + server_.options.idle_timeout;
  if (processing_) return;
  process();
  if (phase_ == Phase::kRequest && transport_.has_pending()) return read_request();
  arm_read();
}

// Closing with unread input would reset the connection, and the peer might lose the answer.
void Connection::begin_drain() {
  phase_ = Phase::kDraining;
  in_ = std::string();
  transport_.end_writing();
  if (peer_ended_) return close();
  deadline_ = server_.loop.now() + kDrainTimeout;
  drain();
}

void Connection::drain() {
  for (int reads = 0; reads < kDrainReadsMax; ++reads) {
    const IoResult result = transport_.discard(server_.loop.scratch());
    if (result.io == Io::kWaitRead) break;
    if (result.io != Io::kDone) return close();
  }
  arm_read();
}

}  // namespace bcai::net
