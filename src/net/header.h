// SPDX-License-Identifier: Apache-2.0
// Header fields: names compared without case, and the head of an answer as bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/server.h"

namespace bcai::net {

// The value of the first header of that name, "" when absent.
std::string_view find_value(const Headers& headers, std::string_view name);

// The reason phrase of a status, "Unknown" where there is none.
std::string_view reason_phrase(int status);

// Which kind of body follows the head.
enum class Framing { kLength, kChunked, kUntilClose, kNone };

struct ResponseHead {
  int status = 200;
  const Headers& headers;
  Framing framing = Framing::kLength;
  uint64_t content_length = 0;
  bool keep_alive = true;
};

// Status line, headers, empty line. Of `headers` those are left out that the server owns, and those
// that are no token with text: nothing a handler passes can begin another header or a body.
std::string format_response_head(const ResponseHead& head, std::string_view date);

// "Thu, 01 Jan 1970 00:00:00 GMT".
std::string format_http_date(WallTime at);

}  // namespace bcai::net
