// SPDX-License-Identifier: Apache-2.0
#include "node/spool.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
#include "node/clip.h"
#include "node/identity.h"

namespace bcai::node {
namespace {

class SpoolDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/spoolXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  Lease lease(uint8_t number) {
    Lease made;
    made.attempt.bytes[15] = number;
    made.epoch = 3;
    made.spec.name = "job";
    made.spec.code = "print(1)";
    return made;
  }
  Spool open() {
    Result<Spool> spool = Spool::open(directory / "attempts");
    BCAI_ASSERT(spool);
    return *std::move(spool);
  }

  std::filesystem::path directory;
};

std::string text_of(std::string_view records) {
  std::string text;
  size_t consumed = 0;
  while (auto record = read_log_record(records, &consumed)) {
    text += record->text;
    records.remove_prefix(consumed);
  }
  return records.empty() ? text : "rest of " + std::to_string(records.size()) + " bytes";
}

TEST_F(SpoolDirectory, LongOutputIsSplitIntoRecordsAndReadFromAnyRecord) {
  auto attempt = open().create(lease(1));
  ASSERT_TRUE(attempt);
  const std::string data(40'000, 'x');
  ASSERT_TRUE((*attempt)->append_log(LogStream::kStdout, {7}, data));
  ASSERT_TRUE((*attempt)->append_log(LogStream::kStderr, {8}, "end"));
  const int64_t bytes = 3 * 16 + 40'000 + 16 + 3;
  EXPECT_EQ((*attempt)->log_bytes(), bytes);
  EXPECT_EQ(text_of(*(*attempt)->read_log(0, 1 << 20)), data + "end");
  // Only whole records.
  EXPECT_EQ((*attempt)->read_log(0, 20'000)->size(), 16U + 16384U);
  EXPECT_EQ(text_of(*(*attempt)->read_log(bytes - 19, 1000)), "end");
  EXPECT_EQ(*(*attempt)->read_log(bytes, 1000), "");
  EXPECT_EQ(*(*attempt)->read_log(bytes + 5, 1000), "");
}

TEST_F(SpoolDirectory, RecoversWhatWasLeft) {
  {
    Spool spool = open();
    auto with = spool.create(lease(1));
    auto without = spool.create(lease(2));
    auto done = spool.create(lease(3));
    ASSERT_TRUE(with && without && done);
    ASSERT_TRUE((*without)->append_log(LogStream::kStdout, {1}, "half"));
    AttemptResult result;
    result.outcome = Outcome::kFinished;
    result.exit_code = 4;
    ASSERT_TRUE((*with)->write_result(result, Durability::kSynced));
    (*done)->remove();
  }
  std::filesystem::create_directories(directory / "attempts/att_broken");
  std::ofstream(directory / "attempts/att_broken/lease.json") << "{}";
  std::filesystem::create_directories(directory / "attempts/att_removed/artifacts");
  std::ofstream(directory / "attempts" / lease(2).attempt.text() / "log", std::ios::app) << "torn";

  std::vector<std::string> unreadable;
  std::vector<Spool::Recovered> found = open().recover(&unreadable);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].attempt->lease().attempt, lease(1).attempt);
  EXPECT_EQ(found[0].attempt->lease().spec, lease(1).spec);
  ASSERT_TRUE(found[0].result);
  EXPECT_EQ(found[0].result->exit_code, 4);
  EXPECT_FALSE(found[1].result);
  EXPECT_EQ(found[1].attempt->log_bytes(), 20);
  ASSERT_TRUE(found[1].attempt->append_log(LogStream::kSystem, {2}, "!"));
  EXPECT_EQ(text_of(*found[1].attempt->read_log(0, 1000)), "half!");
  ASSERT_EQ(unreadable.size(), 1U);
  EXPECT_NE(unreadable[0].find("att_broken"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(directory / "attempts/att_removed"));
}

TEST_F(SpoolDirectory, IdentityIsMadeOnceAndKeptPrivate) {
  SystemRandom random;
  const auto path = directory / "identity";
  Result<SigningKey> made = load_identity(path, random);
  ASSERT_TRUE(made);
  Result<SigningKey> again = load_identity(path, random);
  ASSERT_TRUE(again);
  EXPECT_EQ(made->public_key, again->public_key);
  const NodeRegistration registration = make_registration(*again, "n", "nonce", {});
  EXPECT_TRUE(
      verify_signature(made->public_key, "bcai node registration\nnonce", registration.signature));
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  Result<SigningKey> open_to_all = load_identity(path, random);
  ASSERT_FALSE(open_to_all);
  EXPECT_EQ(open_to_all.error().code, ErrorCode::kPermissionDenied);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  std::ofstream(path) << "short";
  EXPECT_EQ(load_identity(path, random).error().code, ErrorCode::kDataLoss);
}

TEST(Clip, CutsBetweenCharactersAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(clipped("abc", 3), "abc");
  EXPECT_EQ(clipped("abcd", 3), "\u2026");
  EXPECT_EQ(clipped("abcdef", 5), "ab\u2026");
  EXPECT_EQ(clipped("a\u00e9\u00e9\u00e9", 6), "a\u00e9\u2026");
  EXPECT_EQ(clipped("a\xff"
                    "b",
                    10),
            "a\uFFFD"
            "b");
  EXPECT_EQ(clipped("\xed\xa0\x80", 20), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(clipped("\xc0\xaf", 20), "\uFFFD\uFFFD");            // too long a form
  EXPECT_EQ(clipped("\xf0\x9f\x98\x80", 4), "\xf0\x9f\x98\x80");
  EXPECT_EQ(clipped("\xf0\x9f\x98", 20), "\uFFFD\uFFFD\uFFFD");
}

}  // namespace
}  // namespace bcai::node
