// SPDX-License-Identifier: Apache-2.0
// Reads server-sent events (WHATWG HTML, "Server-sent events") from a body that comes in pieces.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace bcai::cli {

struct ServerEvent {
  std::string id;     // of this or an earlier event
  std::string event;  // "message" when the stream names none
  std::string data;
};

class EventReader {
 public:
  static constexpr size_t kEventBytesMax = 8 << 20;

  explicit EventReader(std::function<void(const ServerEvent&)> take) : take_(std::move(take)) {}

  // False once an event is larger than kEventBytesMax; nothing is read after that.
  bool feed(std::string_view piece);

  const std::string& last_id() const { return event_.id; }

 private:
  void end_line();

  std::function<void(const ServerEvent&)> take_;
  std::string line_;
  ServerEvent event_;
  bool has_data_ = false;
  bool after_return_ = false;
  bool first_line_ = true;
  bool broken_ = false;
};

}  // namespace bcai::cli
