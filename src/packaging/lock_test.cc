// SPDX-License-Identifier: Apache-2.0
#include "packaging/lock.h"

#include <gtest/gtest.h>

namespace bcai::packaging {
namespace {

Lock sample() {
  return {.python = "3.11",
          .platform = "linux_x86_64",
          .base = {{"numpy", "2.4.6"}},
          .packages = {{.name = "six",
                        .version = "1.17.0",
                        .wheel = "six-1.17.0-py2.py3-none-any.whl",
                        .sha256 = Sha256::of("six"),
                        .bytes = 11050}}};
}

std::string findings_of(const json::value& value) {
  std::vector<Finding> findings;
  (void)decode_lock(value, "/lock", &findings);
  return findings_text(findings);
}

TEST(LockTest, RoundTripsAndHasOneDigest) {
  std::vector<Finding> findings;
  const Lock again = decode_lock(encode(sample()), "", &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_EQ(again, sample());
  EXPECT_EQ(digest(again), digest(sample()));
  Lock other = sample();
  other.packages[0].sha256 = Sha256::of("another");
  EXPECT_NE(digest(other), digest(sample()));
}

TEST(LockTest, NamesEachThingWrong) {
  EXPECT_NE(findings_of(json::object()), "");
  const auto with = [](const char* key, json::value value) {
    json::object lock = encode(sample());
    lock[key] = std::move(value);
    return findings_of(lock);
  };
  EXPECT_NE(with("format", 2).find("/lock/format"), std::string::npos);
  EXPECT_NE(with("python", "3").find("3.11"), std::string::npos);
  EXPECT_NE(with("platform", "../x"), "");
  EXPECT_NE(with("base", json::object{{"NumPy", "1"}}), "");
  EXPECT_NE(with("packages", 3), "");
  EXPECT_NE(with("extra", 3), "");
  const auto with_member = [&](const char* key, json::value value) {
    json::object package = encode(sample())["packages"].as_array()[0].as_object();
    package[key] = std::move(value);
    return with("packages", json::array{package});
  };
  EXPECT_EQ(with_member("bytes", 11050), "");
  EXPECT_NE(with_member("name", "Six"), "");
  EXPECT_NE(with_member("version", "x"), "");
  EXPECT_NE(with_member("sha256", "abc").find("/lock/packages/0/sha256"), std::string::npos);
  EXPECT_NE(with_member("bytes", 0), "");
  EXPECT_NE(with_member("url", "https://e"), "");
  for (const char* wheel :
       {"../six-1.17.0-py3-none-any.whl", "six-1.17.0.tar.gz", "six-1.18.0-py3-none-any.whl",
        "seven-1.17.0-py3-none-any.whl", "six-1.17.0-py3.whl", "/six-1.17.0-py3-none-any.whl"}) {
    EXPECT_NE(with_member("wheel", wheel).find("/wheel"), std::string::npos) << wheel;
  }
  const json::value one = encode(sample())["packages"].as_array()[0];
  EXPECT_NE(with("packages", json::array{one, one}).find("order"), std::string::npos);
}

}  // namespace
}  // namespace bcai::packaging
