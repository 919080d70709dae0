// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/log_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "protocol/log_record.h"

namespace bcai::coordinator {
namespace {

class LogStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bcai_log_store_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    reopen();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void reopen() { store_ = std::move(*LogStore::open(directory_)); }

  LogAppended append(int64_t offset, const std::string& records, int64_t bytes_max = 1 << 20) {
    Result<LogAppended> appended = store_->append(
        {.attempt = attempt_, .offset = offset, .records = records, .bytes_max = bytes_max});
    EXPECT_TRUE(appended) << appended.error().message;
    return *appended;
  }

  std::string all_text() {
    std::string text;
    const LogSlice slice = *store_->read(attempt_, 0, 1 << 24);
    std::string_view left = slice.records;
    size_t consumed = 0;
    while (auto record = read_log_record(left, &consumed)) {
      text += record->text;
      left.remove_prefix(consumed);
    }
    return text;
  }

  static std::string record(std::string_view text, LogStream stream = LogStream::kStdout) {
    std::string out;
    append_log_record(out, stream, {1'700'000'000'000}, text);
    return out;
  }

  SeededRandom random_{7};
  std::filesystem::path directory_;
  std::unique_ptr<LogStore> store_;
  AttemptId attempt_ = AttemptId::make({1'700'000'000'000}, random_);
};

TEST_F(LogStoreTest, AppendsInOrderAndReadsBack) {
  const std::string first = record("one\n");
  const std::string second = record("two\n");
  EXPECT_EQ(append(0, first).offset, static_cast<int64_t>(first.size()));
  EXPECT_TRUE(append(static_cast<int64_t>(first.size()), second).accepted);
  EXPECT_EQ(all_text(), "one\ntwo\n");
  EXPECT_EQ(*store_->size(attempt_), static_cast<int64_t>(first.size() + second.size()));
}

TEST_F(LogStoreTest, ARepeatedOrOverlappingAppendIsKeptOnce) {
  const std::string first = record("one\n");
  const std::string both = first + record("two\n");
  append(0, first);
  EXPECT_TRUE(append(0, first).accepted);
  const LogAppended again = append(0, both);
  EXPECT_TRUE(again.accepted);
  EXPECT_EQ(again.offset, static_cast<int64_t>(both.size()));
  EXPECT_EQ(all_text(), "one\ntwo\n");
  EXPECT_EQ(append(0, first).offset, static_cast<int64_t>(both.size()));
}

TEST_F(LogStoreTest, AGapOrOtherBytesAreRefusedWithTheEnd) {
  const std::string first = record("one\n");
  append(0, first);
  const LogAppended gap = append(1000, record("x"));
  EXPECT_FALSE(gap.accepted);
  EXPECT_EQ(gap.offset, static_cast<int64_t>(first.size()));
  EXPECT_FALSE(append(0, record("ONE\n")).accepted);
  EXPECT_EQ(all_text(), "one\n");
}

TEST_F(LogStoreTest, BytesThatAreNoWholeRecordsAreInvalid) {
  const std::string whole = record("one\n");
  for (const std::string& body :
       {whole.substr(0, whole.size() - 1), std::string(40, '\xff'), whole + "x"}) {
    Result<LogAppended> appended =
        store_->append({.attempt = attempt_, .offset = 0, .records = body, .bytes_max = 1 << 20});
    ASSERT_FALSE(appended);
    EXPECT_EQ(appended.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(*store_->size(attempt_), 0);
}

TEST_F(LogStoreTest, ReadsInSlicesOfWholeRecords) {
  std::string body;
  for (int i = 0; i < 100; ++i) body += record(fmt::format("line {:03}\n", i));
  append(0, body);
  int64_t offset = 0;
  std::string joined;
  int slices = 0;
  for (;;) {
    const LogSlice slice = *store_->read(attempt_, offset, 200);
    if (slice.records.empty()) break;
    EXPECT_LE(slice.records.size(), 200U);
    joined += slice.records;
    offset = slice.next_offset;
    ++slices;
  }
  EXPECT_EQ(joined, body);
  EXPECT_GT(slices, 10);
  EXPECT_EQ(store_->read(attempt_, 3, 200).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(store_->read(attempt_, 0, 1)->records.empty());
}

TEST_F(LogStoreTest, ATornRecordIsNotSeenAndIsOverwritten) {
  const std::string first = record("one\n");
  const std::string second = record("two\n");
  append(0, first);
  std::string path;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    if (entry.is_regular_file()) path = entry.path();
  }
  std::ofstream(path, std::ios::app) << second.substr(0, 9);
  reopen();
  EXPECT_EQ(*store_->size(attempt_), static_cast<int64_t>(first.size()));
  EXPECT_TRUE(append(static_cast<int64_t>(first.size()), second).accepted);
  reopen();
  EXPECT_EQ(all_text(), "one\ntwo\n");
}

TEST_F(LogStoreTest, BeyondTheCapRecordsAreDroppedAndTheLogSaysSoOnce) {
  constexpr int64_t kMax = 50'000;
  const std::string big = record(std::string(16'000, 'x'));
  std::string node;
  int64_t acknowledged = 0;
  for (int i = 0; i < 10; ++i) {
    node += big;
    const LogAppended appended = append(acknowledged, big, kMax);
    ASSERT_TRUE(appended.accepted);
    acknowledged = appended.offset;
    if (i == 5) reopen();
  }
  EXPECT_EQ(acknowledged, static_cast<int64_t>(node.size()));
  EXPECT_LE(*store_->size(attempt_), kMax);
  const int64_t kept = *store_->size(attempt_);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(store_->finish(attempt_, acknowledged, kMax, {1}));
    reopen();
  }
  const std::string text = all_text();
  const std::string note = fmt::format("{} bytes of output were dropped", acknowledged - kept);
  EXPECT_NE(text.find(note), std::string::npos);
  EXPECT_EQ(text.find("dropped"), text.rfind("dropped"));
}

TEST_F(LogStoreTest, FinishAsksForWhatIsMissing) {
  const std::string first = record("one\n");
  append(0, first);
  EXPECT_TRUE(store_->finish(attempt_, static_cast<int64_t>(first.size()), 1 << 20, {1}));
  EXPECT_EQ(store_->finish(attempt_, 1000, 1 << 20, {1}).error().code,
            ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace bcai::coordinator
