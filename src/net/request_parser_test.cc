// SPDX-License-Identifier: Apache-2.0
#include "net/request_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bcai::net {
namespace {

using State = RequestParser::State;

// Feeds `bytes` in pieces of `piece_bytes`, as a socket would give them; what is left is in `rest`.
struct Fed {
  RequestParser parser;
  std::string rest;

  Fed(std::string_view bytes, size_t piece_bytes, uint64_t body_bytes_max = 1 << 20) {
    while (!bytes.empty() || !rest.empty()) {
      rest += bytes.substr(0, piece_bytes);
      const bool last = bytes.size() <= piece_bytes;
      bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
      size_t taken = 0;
      do {
        const State before = parser.state();
        taken = parser.feed(rest);
        rest.erase(0, taken);
        if (before == State::kHead) parser.limit_body(body_bytes_max);
      } while (taken > 0 && !rest.empty());
      if (last || parser.state() == State::kDone || parser.state() == State::kRefused) {
        rest += bytes;
        return;
      }
    }
  }
};

TEST(RequestParser, ReadsHeadAndBody) {
  Fed fed(
      "POST /a?b=c HTTP/1.1\r\nHost: x:80\r\nX-One: 1\r\nx-one:  two \r\n"
      "Content-Length: 5\r\n\r\nhelloGET",
      1000);
  ASSERT_EQ(fed.parser.state(), State::kDone) << fed.parser.refusal().detail;
  const RequestHead& head = fed.parser.head();
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a?b=c");
  EXPECT_EQ(head.content_length, 5u);
  EXPECT_TRUE(head.keep_alive);
  const Headers expected{
      {"Host", "x:80"}, {"X-One", "1"}, {"x-one", "two"}, {"Content-Length", "5"}};
  EXPECT_EQ(head.headers, expected);
  EXPECT_EQ(fed.parser.body(), "hello");
  EXPECT_EQ(fed.rest, "GET");
}

TEST(RequestParser, ReadsChunks) {
  Fed fed(
      "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\nnext",
      1000);
  ASSERT_EQ(fed.parser.state(), State::kDone) << fed.parser.refusal().detail;
  EXPECT_EQ(fed.parser.body(), "abc0123456789");
  EXPECT_EQ(fed.parser.head().headers.size(), 2u);
  EXPECT_EQ(fed.rest, "next");
}

TEST(RequestParser, KnowsWhenAConnectionEnds) {
  EXPECT_FALSE(Fed("GET / HTTP/1.0\r\n\r\n", 99).parser.head().keep_alive);
  EXPECT_FALSE(
      Fed("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 99).parser.head().keep_alive);
  EXPECT_FALSE(Fed("GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n", 99)
                   .parser.head()
                   .keep_alive);
}

struct BadRequest {
  const char* name;
  std::string bytes;
  int status;
};

const std::string kStart = "POST / HTTP/1.1\r\nHost: x\r\n";

std::string lines(int count) {
  std::string text;
  for (int n = 0; n < count; ++n) text += "A: b\r\n";
  return text;
}

std::vector<BadRequest> bad_heads() {
  return {
      {"no HTTP", "hello\r\n\r\n", 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", 400},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 400},
      {"lower case http", "GET / http/1.1\r\nHost: x\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"space after the version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
      {"method that is no token", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\n", 7), 400},
      {"bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
      {"bare LF in headers", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400},
      {"bare CR", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n", 400},
      {"NUL", kStart + std::string("A: b\0c\r\n\r\n", 10), 400},
      {"control character", kStart + "A: b\x01\r\n\r\n", 400},
      {"space before a colon", kStart + "A : b\r\n\r\n", 400},
      {"no colon", kStart + "A\r\n\r\n", 400},
      {"empty name", kStart + ": b\r\n\r\n", 400},
      {"folded header", kStart + "A: b\r\n c\r\n\r\n", 400},
      {"folded header, tab", kStart + "A: b\r\n\tc\r\n\r\n", 400},
      {"space before the first header", "GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n", 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", kStart + "Host: x\r\n\r\n", 400},
      {"two Hosts, other case", kStart + "hOST: y\r\n\r\n", 400},
      {"a list as Host", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400},
      {"a path in Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
  };
}

std::vector<BadRequest> bad_framings() {
  const std::string chunked = kStart + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {"length and coding", kStart + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"coding and length", kStart + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
       400},
      {"xchunked", kStart + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {"chunked, identity", kStart + "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
      {"gzip, chunked", kStart + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"identity", kStart + "Transfer-Encoding: identity\r\n\r\n", 501},
      {"empty coding", kStart + "Transfer-Encoding:\r\n\r\n", 501},
      {"coding with a vertical tab",
       kStart + "Transfer-Encoding: \x0b"
                "chunked\r\n\r\n",
       400},
      {"two codings", kStart + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"identity then chunked",
       kStart + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"two lengths", kStart + "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 400},
      {"the same length twice", kStart + "Content-Length: 4\r\nContent-Length: 4\r\n\r\n", 400},
      {"a list of lengths", kStart + "Content-Length: 4, 4\r\n\r\n", 400},
      {"signed length", kStart + "Content-Length: +4\r\n\r\n", 400},
      {"negative length", kStart + "Content-Length: -4\r\n\r\n", 400},
      {"hexadecimal length", kStart + "Content-Length: 0x4\r\n\r\n", 400},
      {"empty length", kStart + "Content-Length:\r\n\r\n", 400},
      {"length beyond 64 bits", kStart + "Content-Length: 18446744073709551617\r\n\r\n", 400},
      {"length too large", kStart + "Content-Length: 1048577\r\n\r\n", 413},
      {"expectation", kStart + "Content-Length: 4\r\nExpect: 200-ok\r\n\r\n", 417},
      {"chunk too large", chunked + "100001\r\n", 413},
      {"chunk size beyond 64 bits", chunked + "10000000000000001\r\nx\r\n", 400},
      {"chunk size with a sign", chunked + "+3\r\nabc\r\n0\r\n\r\n", 400},
      {"chunk size 0x3", chunked + "0x3\r\nabc\r\n0\r\n\r\n", 400},
      {"no chunk size", chunked + "\r\nabc\r\n0\r\n\r\n", 400},
      {"chunk longer than its size", chunked + "3\r\nabcd\r\n0\r\n\r\n", 400},
      {"chunk ended by a bare LF", chunked + "3\nabc\r\n0\r\n\r\n", 400},
      {"negative chunk size", chunked + "-3\r\nabc\r\n0\r\n\r\n", 400},
      {"space after a chunk size", chunked + "3 \r\nabc\r\n0\r\n\r\n", 400},
      {"trailer without a colon", chunked + "0\r\nabc\r\n\r\n", 400},
      {"endless trailers", chunked + "0\r\n" + lines(2000), 400},
      {"endless chunk extension", chunked + "3;" + std::string(5000, 'a'), 400},
      {"long target", "GET /" + std::string(8192, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {"many headers", kStart + lines(100) + "\r\n", 431},
      {"long head", kStart + "A: " + std::string(20000, 'b') + "\r\n\r\n", 431},
      {"endless line", std::string(20000, 'G'), 431},
  };
}

TEST(RequestParser, RefusesWhatTwoReadersCouldReadDifferently) {
  std::vector<BadRequest> requests = bad_heads();
  for (BadRequest& bad : bad_framings()) requests.push_back(std::move(bad));
  for (const BadRequest& bad : requests) {
    for (const size_t piece_bytes : {size_t{100000}, size_t{1}, size_t{7}}) {
      const Fed fed(bad.bytes, piece_bytes);
      EXPECT_EQ(fed.parser.state(), State::kRefused) << bad.name << " in " << piece_bytes;
      EXPECT_EQ(fed.parser.refusal().status, bad.status)
          << bad.name << " in " << piece_bytes << ": " << fed.parser.refusal().detail;
      EXPECT_FALSE(fed.parser.refusal().detail.empty()) << bad.name;
    }
  }
}

TEST(RequestParser, ReadsTheSameInPiecesOfAnySize) {
  const std::vector<std::string> good = {
      "\r\n" + kStart + "Content-Length: 11\r\n\r\nhello world",
      kStart + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=\"b\"\r\n world\r\n0\r\n\r\n",
      kStart +
          "Transfer-Encoding: chunked\r\n\r\n000000000000000000b\r\nhello world\r\n000\r\nA: "
          "b\r\n\r\n",
  };
  for (const std::string& bytes : good) {
    for (size_t piece_bytes = 1; piece_bytes <= bytes.size(); ++piece_bytes) {
      Fed fed(bytes + "rest", piece_bytes);
      ASSERT_EQ(fed.parser.state(), State::kDone)
          << bytes << " in " << piece_bytes << ": " << fed.parser.refusal().detail;
      EXPECT_EQ(fed.parser.body(), "hello world");
      EXPECT_EQ(fed.rest, "rest");
    }
  }
}

// Boost.Beast 1.81 aborts on this one.
TEST(RequestParser, ReadsAnEmptyChunkedBodyInPieces) {
  const std::string bytes = kStart + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n";
  for (size_t piece_bytes = 1; piece_bytes <= bytes.size(); ++piece_bytes) {
    Fed fed(bytes, piece_bytes);
    EXPECT_EQ(fed.parser.state(), State::kDone) << piece_bytes;
    EXPECT_EQ(fed.parser.body(), "");
  }
}

TEST(RequestParser, WaitsForAnUnfinishedRequest) {
  const std::string bytes = kStart + "Content-Length: 5\r\n\r\nhello";
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Fed fed(bytes.substr(0, size), 3);
    EXPECT_TRUE(fed.parser.state() == State::kHead || fed.parser.state() == State::kBody) << size;
  }
}

}  // namespace
}  // namespace bcai::net
