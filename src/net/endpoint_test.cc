// SPDX-License-Identifier: Apache-2.0
#include "net/endpoint.h"

#include <gtest/gtest.h>

namespace bcai::net {
namespace {

TEST(Endpoint, ReadsWhatPeopleWrite) {
  EXPECT_EQ(parse_endpoint("http://a.b:8321/")->base_url, "http://a.b:8321");
  EXPECT_EQ(parse_endpoint("https://a")->host, "a");
  EXPECT_EQ(parse_endpoint("http://[::1]:80")->host, "::1");
  EXPECT_EQ(parse_endpoint("unix:/run/x")->unix_path, "/run/x");
  const auto address = parse_listen_address("[::]:0");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->host, "::");
  EXPECT_EQ(parse_listen_address("localhost:65535")->port, 65535);
}

TEST(Endpoint, NamesWhatItCannotRead) {
  for (const char* text :
       {"", "a:80", "ftp://a", "http://", "http://:80", "http://a:99999", "http://a:x",
        "http://a/b", "http://u@a", "http://a?b", "unix:", "http://[::1", "http://a b"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
  for (const char* text : {"", "a", ":1", "a:", "a:-1", "a:65536", "a:1x", "::1:80", "[::1]80"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
  EXPECT_FALSE(parse_listen_address("unix:" + std::string(200, 'a')));
  EXPECT_NE(parse_endpoint("a:80").error().message.find("\"a:80\""), std::string::npos);
}

}  // namespace
}  // namespace bcai::net
