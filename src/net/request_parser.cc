// SPDX-License-Identifier: Apache-2.0
#include "net/request_parser.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/ascii.h"
#include "net/header.h"

namespace bcai::net {

namespace http = boost::beast::http;

namespace {

// Control characters have no place in a head, and a lone CR or NUL is read differently by others.
bool has_bad_byte(std::string_view line) {
  return std::ranges::any_of(line, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

// A host and a port. RFC 3986 allows more characters than any name that resolves has.
bool is_host(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || std::string_view("-._~:[]%").find(c) != std::string_view::npos;
  });
}

bool is_length(std::string_view text) {
  return !text.empty() && text.size() <= 18 && std::ranges::all_of(text, is_digit);
}

struct Found {
  size_t count = 0;
  std::string_view value;  // of the first
};
Found find_header(const Headers& headers, std::string_view name) {
  Found found;
  for (const auto& [key, value] : headers) {
    if (!equal_without_case(key, name)) continue;
    if (found.count++ == 0) found.value = value;
  }
  return found;
}

}  // namespace

void RequestParser::refuse(int status, ErrorCode code, std::string detail) {
  state_ = State::kRefused;
  refusal_ = {status, code, std::move(detail)};
}

void RequestParser::refuse_bad(std::string detail) {
  refuse(400, ErrorCode::kInvalidArgument, std::move(detail));
}

size_t RequestParser::feed(std::string_view input) {
  switch (state_) {
    case State::kHead: return feed_head(input);
    case State::kBody: break;
    case State::kDone:
    case State::kRefused: return 0;
  }
  if (head_.chunked) return feed_chunks(input);
  const size_t taken = take_body(input);
  if (left_ == 0) state_ = State::kDone;
  return taken;
}

size_t RequestParser::feed_head(std::string_view input) {
  while (true) {
    const size_t end = input.find('\n', scanned_);
    if (std::min(end, input.size()) >= kHeadBytesMax) {
      refuse(431, ErrorCode::kResourceExhausted,
             fmt::format("the request's head is longer than {} bytes", kHeadBytesMax));
      return 0;
    }
    if (end == std::string_view::npos) {
      scanned_ = input.size();
      return 0;
    }
    scanned_ = end + 1;
    if (end == line_start_ || input[end - 1] != '\r') {
      refuse_bad("a line of the head does not end with CR LF");
      return 0;
    }
    const std::string_view line = input.substr(line_start_, end - 1 - line_start_);
    if (line.empty()) {
      if (line_start_ > 0 || skipped_line_) break;
      // One empty line before a request is tolerated (RFC 9112 section 2.2).
      skipped_line_ = true;
      return std::exchange(scanned_, 0);
    }
    if (has_bad_byte(line)) {
      refuse_bad("a control character in the head");
      return 0;
    }
    if (line[0] == ' ' || line[0] == '\t') {
      refuse_bad("a line of the head begins with a space (folded headers are not taken)");
      return 0;
    }
    line_start_ = end + 1;
  }
  read_head(input.substr(0, scanned_));
  return scanned_;
}

void RequestParser::read_head(std::string_view bytes) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kHeadBytesMax + 64);
  parser.body_limit(boost::none);  // the route has one
  boost::beast::error_code status;
  const size_t taken = parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), status);
  if (status == http::error::header_limit) {
    return refuse(431, ErrorCode::kResourceExhausted, "the request's head is too long");
  }
  if (status || !parser.is_header_done() || taken != bytes.size()) {
    return refuse_bad("not an HTTP/1.1 request: " + (status ? status.message() : "bad head"));
  }
  const auto& message = parser.get();
  head_.method = std::string(message.method_string());
  head_.target = std::string(message.target());
  head_.http_1_0 = message.version() == 10;
  head_.keep_alive = parser.keep_alive() && !head_.http_1_0;
  for (const auto& field : message) {
    head_.headers.emplace_back(field.name_string(), field.value());
  }
  check_head();
}

void RequestParser::check_head() {
  if (head_.headers.size() > kHeaderCountMax) {
    return refuse(
        431, ErrorCode::kResourceExhausted,
        fmt::format("{} headers, expected at most {}", head_.headers.size(), kHeaderCountMax));
  }
  if (head_.target.size() > kTargetBytesMax) {
    return refuse(414, ErrorCode::kInvalidArgument,
                  fmt::format("the target has {} bytes, expected at most {}", head_.target.size(),
                              kTargetBytesMax));
  }
  const Found host = find_header(head_.headers, "Host");
  if (host.count > 1 || (host.count == 0 && !head_.http_1_0)) {
    return refuse_bad(fmt::format("{} Host headers, expected one", host.count));
  }
  if (!is_host(host.value)) return refuse_bad("Host: expected a host name and a port");
  const Found expect = find_header(head_.headers, "Expect");
  if (expect.count > 0 && !head_.http_1_0) {
    if (!equal_without_case(expect.value, "100-continue")) {
      return refuse(417, ErrorCode::kInvalidArgument, "Expect: only 100-continue is known");
    }
    head_.expects_continue = true;
  }
  check_framing();
}

// Where the body ends. All that two readers could take differently is refused.
void RequestParser::check_framing() {
  const Found length = find_header(head_.headers, "Content-Length");
  const Found coding = find_header(head_.headers, "Transfer-Encoding");
  if (length.count > 1) return refuse_bad("more than one Content-Length");
  if (coding.count > 1) return refuse_bad("more than one Transfer-Encoding");
  if (coding.count == 1) {
    if (length.count > 0) return refuse_bad("both Content-Length and Transfer-Encoding");
    if (head_.http_1_0) return refuse_bad("Transfer-Encoding in HTTP/1.0");
    if (!equal_without_case(coding.value, "chunked")) {
      return refuse(501, ErrorCode::kUnimplemented, "Transfer-Encoding: only chunked is known");
    }
    head_.chunked = true;
    state_ = State::kBody;
    return;
  }
  if (length.count == 1) {
    if (!is_length(length.value)) return refuse_bad("Content-Length: expected a number");
    left_ = std::stoull(std::string(length.value));
  }
  head_.content_length = left_;
  state_ = left_ > 0 ? State::kBody : State::kDone;
}

void RequestParser::limit_body(uint64_t bytes_max) {
  body_bytes_max_ = bytes_max;
  if (state_ == State::kBody && !head_.chunked && left_ > bytes_max) {
    refuse(413, ErrorCode::kResourceExhausted,
           fmt::format("the body has {} bytes, expected at most {}", left_, bytes_max));
  }
}

size_t RequestParser::feed_chunks(std::string_view input) {
  size_t taken = 0;
  while (state_ == State::kBody && taken < input.size()) {
    const std::string_view rest = input.substr(taken);
    if (left_ > 0) {
      taken += take_body(rest);
      continue;
    }
    const size_t end = rest.find('\n');
    if (std::min(end, rest.size()) >= kChunkLineBytesMax) {
      refuse_bad(fmt::format("chunked body: a line is longer than {} bytes", kChunkLineBytesMax));
    } else if (end == std::string_view::npos) {
      break;
    } else if (end == 0 || rest[end - 1] != '\r' || has_bad_byte(rest.substr(0, end - 1))) {
      refuse_bad("chunked body: a line does not end with CR LF");
    } else {
      take_chunk_line(rest.substr(0, end - 1));
      taken += end + 1;
    }
  }
  return taken;
}

size_t RequestParser::take_body(std::string_view input) {
  const size_t taken = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
  body_.append(input.substr(0, taken));
  left_ -= taken;
  return taken;
}

void RequestParser::take_chunk_line(std::string_view line) {
  switch (chunk_line_) {
    case ChunkLine::kSize: return take_chunk_size(line);
    case ChunkLine::kAfterData:
      chunk_line_ = ChunkLine::kSize;
      if (!line.empty()) refuse_bad("chunked body: a chunk is longer than its size");
      return;
    case ChunkLine::kTrailer:
      // Trailers are dropped: no handler may take them for headers.
      trailer_bytes_ += line.size();
      if (line.empty()) {
        state_ = State::kDone;
      } else if (trailer_bytes_ > kChunkLineBytesMax || line.find(':') == std::string_view::npos) {
        refuse_bad("chunked body: bad trailers");
      }
      return;
  }
}

void RequestParser::take_chunk_size(std::string_view line) {
  uint64_t size = 0;
  const char* const end = line.data() + line.size();
  const auto [after, status] = std::from_chars(line.data(), end, size, 16);
  const bool known = !line.empty() && line[0] != '-' && status == std::errc();
  if (!known || (after != end && *after != ';')) {
    return refuse_bad("chunked body: expected a chunk's size in hexadecimal digits");
  }
  if (size > body_bytes_max_ || body_.size() > body_bytes_max_ - size) {
    return refuse(413, ErrorCode::kResourceExhausted,
                  fmt::format("the body has more than {} bytes", body_bytes_max_));
  }
  left_ = size;
  chunk_line_ = size > 0 ? ChunkLine::kAfterData : ChunkLine::kTrailer;
}

}  // namespace bcai::net
