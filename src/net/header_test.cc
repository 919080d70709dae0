// SPDX-License-Identifier: Apache-2.0
#include "net/header.h"

#include <gtest/gtest.h>

namespace bcai::net {
namespace {

TEST(Header, LeavesOutWhatCouldSplitAnAnswer) {
  const Headers headers{{"A", "b"},
                        {"Content-Length", "7"},
                        {"connection", "close"},
                        {"X", "1\r\nY: 2"},
                        {"B ad", "1"},
                        {"N\n", "1"},
                        {"", "1"},
                        {"Ok", "t\xC3\xA4t\tz"},
                        {"Transfer-Encoding", "x"},
                        {"D", std::string("\0", 1)}};
  EXPECT_EQ(format_response_head({.status = 404, .headers = headers, .content_length = 3}, "now"),
            "HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Length: 3\r\nA: b\r\n"
            "Ok: t\xC3\xA4t\tz\r\n\r\n");
  EXPECT_EQ(format_response_head({.headers = {}, .framing = Framing::kChunked, .keep_alive = false},
                                 "now"),
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n"
            "Connection: close\r\n\r\n");
}

TEST(Header, FormatsDates) {
  // The example of RFC 9110 section 5.6.7.
  EXPECT_EQ(format_http_date({784'111'777'000}), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace bcai::net
