// SPDX-License-Identifier: Apache-2.0
// Reads one HTTP/1.1 request from bytes, without a socket. Boost.Beast reads the head; before and
// after it come the checks that keep two readers from seeing two different requests (RFC 9112
// section 11.2). The body is read here: Beast 1.81 asserts when the last chunk comes in pieces.
// What a request may cost is bounded before it is known who sent it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/server.h"

namespace bcai::net {

// Why the server does not take a request, and what it answers.
struct Refusal {
  int status = 400;
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string detail;
};

struct RequestHead {
  std::string method;
  std::string target;
  Headers headers;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  uint64_t content_length = 0;  // 0 when chunked
};

class RequestParser {
 public:
  static constexpr size_t kHeadBytesMax = size_t{16} * 1024;
  static constexpr size_t kTargetBytesMax = size_t{8} * 1024;
  static constexpr size_t kHeaderCountMax = 100;
  static constexpr size_t kChunkLineBytesMax = size_t{4} * 1024;

  enum class State { kHead, kBody, kDone, kRefused };

  // Takes bytes from the front of `input` and returns how many; the caller offers the rest again,
  // with more behind it. It stops after the head, so that a limit can be set before the body.
  size_t feed(std::string_view input);

  State state() const { return state_; }
  // Once the state has left kHead without a refusal.
  RequestHead& head() { return head_; }
  // More than this is refused with 413, before it is read where its length is announced.
  void limit_body(uint64_t bytes_max);
  std::string& body() { return body_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  // What the next line of a chunked body is.
  enum class ChunkLine { kSize, kAfterData, kTrailer };

  size_t feed_head(std::string_view input);
  size_t feed_chunks(std::string_view input);
  size_t take_body(std::string_view input);
  void take_chunk_line(std::string_view line);
  void take_chunk_size(std::string_view line);
  void read_head(std::string_view bytes);
  void check_head();
  void check_framing();
  void refuse(int status, ErrorCode code, std::string detail);
  void refuse_bad(std::string detail);

  State state_ = State::kHead;
  size_t scanned_ = 0;     // bytes of the head that were searched for its end
  size_t line_start_ = 0;  // of the line that is being searched
  bool skipped_line_ = false;
  uint64_t left_ = 0;  // of the body, or of the chunk
  ChunkLine chunk_line_ = ChunkLine::kSize;
  size_t trailer_bytes_ = 0;
  uint64_t body_bytes_max_ = UINT64_MAX;
  RequestHead head_;
  std::string body_;
  Refusal refusal_;
};

}  // namespace bcai::net
