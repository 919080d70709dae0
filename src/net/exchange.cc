// SPDX-License-Identifier: Apache-2.0
#include "net/exchange.h"

#include "net/connection.h"

namespace bcai::net {
namespace {

// Runs `task` on the loop's thread if the connection is still there. False when the loop stopped.
template <typename Task>
bool post_to_connection(const std::shared_ptr<Exchange>& exchange, Task task) {
  return exchange->mailbox->post([exchange, task = std::move(task)]() mutable {
    if (const auto connection = exchange->connection.lock()) task(*connection, exchange);
  });
}

void append_line(std::string& out, std::string_view field, std::string_view text) {
  out += field;
  for (const char c : text) out += c == '\n' || c == '\r' || c == '\0' ? ' ' : c;
  out += '\n';
}

}  // namespace

std::string format_event(std::string_view id, std::string_view event, std::string_view data) {
  std::string out;
  out.reserve(id.size() + event.size() + data.size() + 32);
  if (!id.empty()) append_line(out, "id: ", id);
  if (!event.empty()) append_line(out, "event: ", event);
  while (true) {
    const size_t end = data.find_first_of("\r\n");
    append_line(out, "data: ", data.substr(0, end));
    if (end == std::string_view::npos) break;
    const bool pair = data[end] == '\r' && end + 1 < data.size() && data[end + 1] == '\n';
    data.remove_prefix(end + (pair ? 2 : 1));
  }
  out += '\n';
  return out;
}

Reply::Impl::~Impl() {
  if (exchange->answered.exchange(true)) return;
  post_to_connection(exchange, [](Connection& connection, const auto& shared) {
    connection.answer_dropped(shared);
  });
}

void Reply::send(Response response) const {
  const std::shared_ptr<Exchange>& exchange = impl_->exchange;
  if (exchange->answered.exchange(true)) return;
  post_to_connection(exchange, [response = std::move(response)](Connection& connection,
                                                                const auto& shared) mutable {
    connection.answer(shared, std::move(response));
  });
}

EventStream Reply::stream(Headers headers) const {
  const std::shared_ptr<Exchange>& exchange = impl_->exchange;
  auto buffer = std::make_shared<StreamBuffer>(exchange);
  if (exchange->answered.exchange(true)) {
    buffer->set_gone();
  } else {
    exchange->mailbox->post([exchange, buffer, headers = std::move(headers)]() mutable {
      const auto connection = exchange->connection.lock();
      if (connection == nullptr || exchange->over) {
        buffer->set_gone();
      } else {
        connection->begin_stream(exchange, std::move(headers), buffer);
      }
    });
  }
  return EventStream(std::make_shared<EventStream::Impl>(std::move(buffer)));
}

void Reply::on_peer_gone(std::function<void()> gone) const {
  const std::shared_ptr<Exchange>& exchange = impl_->exchange;
  exchange->mailbox->post([exchange, gone = std::move(gone)]() mutable {
    if (exchange->peer_gone) return gone();
    if (exchange->over) return;
    exchange->gone = std::move(gone);
    if (const auto connection = exchange->connection.lock()) connection->check_peer(exchange);
  });
}

bool EventStream::send(std::string_view id, std::string_view event, std::string_view data) const {
  return impl_->buffer->append(format_event(id, event, data));
}

size_t EventStream::buffered_bytes() const { return impl_->buffer->buffered_bytes(); }

void EventStream::close() const { impl_->buffer->close(); }

bool StreamBuffer::append(std::string text) {
  const std::lock_guard lock(mutex_);
  if (closed_ || overflow_ || gone_) return false;
  if (pending_.size() + in_flight_bytes_ + text.size() > EventStream::kBufferBytesMax) {
    overflow_ = true;
    pending_ = std::string();
    woken_ = false;  // the connection may be waiting for the peer, and must hear of this
  } else if (pending_.empty()) {
    pending_ = std::move(text);
  } else {
    pending_ += text;
  }
  wake();
  return !overflow_ && !gone_;
}

size_t StreamBuffer::buffered_bytes() {
  const std::lock_guard lock(mutex_);
  return pending_.size() + in_flight_bytes_;
}

void StreamBuffer::close() {
  const std::lock_guard lock(mutex_);
  if (closed_ || gone_) return;
  closed_ = true;
  wake();
}

// With the lock held.
void StreamBuffer::wake() {
  if (woken_) return;
  woken_ = true;
  const bool posted = post_to_connection(exchange_, [](Connection& connection, const auto& shared) {
    connection.flush_stream(shared);
  });
  if (!posted) gone_ = true;
}

StreamBuffer::Taken StreamBuffer::take() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  Taken taken{std::move(pending_), closed_, overflow_};
  pending_.clear();
  in_flight_bytes_ = taken.bytes.size();
  return taken;
}

bool StreamBuffer::overflowed() {
  const std::lock_guard lock(mutex_);
  return overflow_;
}

void StreamBuffer::set_gone() {
  const std::lock_guard lock(mutex_);
  gone_ = true;
  pending_ = std::string();
}

}  // namespace bcai::net
