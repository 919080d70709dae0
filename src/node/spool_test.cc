// SPDX-License-Identifier: Apache-2.0
#include "node/spool.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
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
  ASSERT_TRUE((*attempt)->flush_log());
  const int64_t bytes = 3 * 16 + 40'000 + 16 + 3;
  EXPECT_EQ((*attempt)->log_bytes(), bytes);
  EXPECT_EQ(text_of(*(*attempt)->read_log(0, 1 << 20)), data + "end");
  // Only whole records.
  EXPECT_EQ((*attempt)->read_log(0, 20'000)->size(), 16U + 16384U);
  EXPECT_EQ(text_of(*(*attempt)->read_log(bytes - 19, 1000)), "end");
  EXPECT_EQ(*(*attempt)->read_log(bytes, 1000), "");
  EXPECT_EQ(*(*attempt)->read_log(bytes + 5, 1000), "");
}

TEST_F(SpoolDirectory, SmallWritesBecomeOneRecordAStreamAndAMoment) {
  auto attempt = open().create(lease(1));
  ASSERT_TRUE(attempt);
  const auto append = [&](LogStream stream, int64_t at, std::string_view text) {
    ASSERT_TRUE((*attempt)->append_log(stream, {at}, text));
  };
  for (int i = 0; i < 1000; ++i) append(LogStream::kStdout, 1000 + i / 20, "x");
  EXPECT_EQ((*attempt)->log_bytes(), 0);
  EXPECT_TRUE((*attempt)->has_pending());
  append(LogStream::kStderr, 1060, "e");
  EXPECT_EQ((*attempt)->log_bytes(), 1016);
  append(LogStream::kStdout, 1061, "o");
  append(LogStream::kStdout, 1200, "later");
  ASSERT_TRUE((*attempt)->flush_log());
  EXPECT_FALSE((*attempt)->has_pending());
  EXPECT_EQ((*attempt)->log_bytes(), 1016 + 17 + 17 + 21);
  EXPECT_EQ(text_of(*(*attempt)->read_log(1016, 1000)), "eolater");
  size_t consumed = 0;
  const std::string records = *(*attempt)->read_log(1016, 1000);
  EXPECT_EQ(read_log_record(records, &consumed)->stream, LogStream::kStderr);
  EXPECT_EQ(read_log_record(records, &consumed)->time.ms, 1060);
}

TEST_F(SpoolDirectory, RecoversWhatWasLeft) {
  {
    Spool spool = open();
    auto with = spool.create(lease(1));
    auto without = spool.create(lease(2));
    auto done = spool.create(lease(3));
    ASSERT_TRUE(with && without && done);
    ASSERT_TRUE((*without)->append_log(LogStream::kStdout, {1}, "half"));
    ASSERT_TRUE((*without)->flush_log());
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
  ASSERT_TRUE(found[1].attempt->flush_log());
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

}  // namespace
}  // namespace bcai::node
