// SPDX-License-Identifier: Apache-2.0
#include "net/target.h"

#include <gtest/gtest.h>

#include "net/client.h"

namespace bcai::net {
namespace {

TEST(Target, DecodesSegmentsAfterSplitting) {
  const Result<Target> target = parse_target("/v1/a%2Fb/%C3%A4/+?x=1&y=a%26b+c&z&x=2&&=e");
  ASSERT_TRUE(target) << target.error().message;
  const std::vector<std::string> segments{"v1", "a/b", "\xC3\xA4", "+"};
  EXPECT_EQ(target->segments, segments);
  EXPECT_EQ(target->path, "/v1/a/b/\xC3\xA4/+");
  const std::map<std::string, std::string> query{{"x", "2"}, {"y", "a&b c"}, {"z", ""}, {"", "e"}};
  EXPECT_EQ(target->query, query);
}

TEST(Target, TakesTheAbsoluteForm) {
  EXPECT_EQ(parse_target("http://h:1/a?b=c")->path, "/a");
  EXPECT_EQ(parse_target("https://h")->path, "/");
}

TEST(Target, RefusesBadEscapesAndBytes) {
  for (const char* text : {"",          "*",          "a",       "//h%",          "/%",
                           "/%2",       "/%zz",       "/%2x",    "/a%00b",        "/a?b=%00",
                           "/a?%",      "/a#b",       "/a b",    "/\xC3\xA4",     "/%C3",
                           "/%C3%28",   "/%ED%A0%80", "/%C0%AF", "/%F5%80%80%80", "/a?b=%FF",
                           "ftp://h/a", "\x7f"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
}

TEST(Target, PercentEncodingComesBack) {
  std::string all;
  for (int byte = 1; byte < 128; ++byte) all += static_cast<char>(byte);
  all += "\xE2\x82\xAC\xF0\x9F\x98\x80";
  const Result<Target> target = parse_target("/" + percent_encode(all) + "?" + percent_encode(all) +
                                             "=" + percent_encode(all));
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->segments.at(0), all);
  EXPECT_EQ(target->query.at(all), all);
  EXPECT_EQ(percent_encode("a-b_c.d~e/f g"), "a-b_c.d~e%2Ff%20g");
}

}  // namespace
}  // namespace bcai::net
