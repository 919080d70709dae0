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

TEST(LockTest, SaysWhatAWheelWasBuiltFrom) {
  Lock lock = sample();
  LockedSource source{.name = "six",
                      .file = "six-1.17.0.tar.gz",
                      .sha256 = Sha256::of("source"),
                      .bytes = 34031,
                      .build_requirements = lock.packages};
  lock.sources = {source};
  std::vector<Finding> findings;
  EXPECT_EQ(decode_lock(encode(lock), "", &findings), lock);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  EXPECT_NE(digest(lock), digest(sample()));
  EXPECT_FALSE(encode(sample()).contains("sources"));

  const auto with = [&](const char* key, json::value value) {
    json::object whole = encode(lock);
    whole["sources"].as_array()[0].as_object()[key] = std::move(value);
    return findings_of(whole);
  };
  EXPECT_NE(with("name", "seven").find("/lock/sources/0/name: expected one of the packages"),
            std::string::npos);
  for (const char* file : {"six-1.18.0.tar.gz", "seven-1.17.0.tar.gz", "../six-1.17.0.tar.gz",
                           "six-1.17.0.zip", "six.tar.gz", "six-1.17.0-py3-none-any.whl"}) {
    EXPECT_NE(with("file", file).find("/lock/sources/0/file"), std::string::npos) << file;
  }
  EXPECT_NE(with("sha256", "abc").find("/lock/sources/0/sha256"), std::string::npos);
  EXPECT_NE(with("bytes", 0), "");
  EXPECT_NE(with("url", "https://e"), "");
  EXPECT_NE(with("build_requirements", json::array{1}).find("/build_requirements/0"),
            std::string::npos);
  lock.sources = {source, source};
  EXPECT_NE(findings_of(encode(lock)), "");
}

TEST(LockTest, NamesOfFilesSayWhatTheyAreFor) {
  EXPECT_EQ(source_version("Foo_Bar-1.0.tar.gz", "foo-bar"), "1.0");
  EXPECT_EQ(source_version("foo-bar-1.0rc1.tar.gz", "foo-bar"), "1.0rc1");
  EXPECT_EQ(source_version("foo-bar-1.0.tar.gz", "foo"), "");
  for (const char* wheel :
       {"a-1-py3-none-any.whl", "a-1-py2.py3-none-any.whl", "a-1-cp311-cp311-linux_x86_64.whl",
        "a-1-cp38-abi3-linux_x86_64.whl", "a-1-py3-none-linux_x86_64.whl", "a-1-2-py3-none-any.whl",
        "a-1-py311-none-any.whl"}) {
    EXPECT_TRUE(is_wheel_for(wheel, "3.11", "linux_x86_64")) << wheel;
  }
  for (const char* wheel :
       {"a-1-py2-none-any.whl", "a-1-cp312-cp312-linux_x86_64.whl", "a-1-py3-none-win_amd64.whl",
        "a-1-cp311-cp311-linux_aarch64.whl", "a-1-py3-none.whl", "a-1-py3-none-any.tar.gz"}) {
    EXPECT_FALSE(is_wheel_for(wheel, "3.11", "linux_x86_64")) << wheel;
  }
}

}  // namespace
}  // namespace bcai::packaging
