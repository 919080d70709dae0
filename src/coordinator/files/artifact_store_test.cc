// SPDX-License-Identifier: Apache-2.0
#include "coordinator/files/artifact_store.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace bcai::coordinator {
namespace {

using State = ArtifactPut::State;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bcai_artifacts_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    reopen();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void reopen() { store_ = std::move(*ArtifactStore::open(directory_)); }

  Result<ArtifactPut> put(std::string_view whole, size_t from, size_t count, uint8_t uploader = 1) {
    return store_->put({.sha256 = Sha256::of(whole),
                        .uploader = {uploader},
                        .offset = static_cast<int64_t>(from),
                        .total = static_cast<int64_t>(whole.size()),
                        .data = whole.substr(from, count)});
  }
  size_t files() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  std::filesystem::path directory_;
  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(ArtifactStoreTest, StoresAWholeAndFindsIt) {
  const std::string text = "hello";
  EXPECT_EQ(store_->size(Sha256::of(text)), std::nullopt);
  EXPECT_EQ(put(text, 0, 5)->state, State::kStored);
  EXPECT_EQ(store_->size(Sha256::of(text)), 5);
  EXPECT_EQ(*read_file(store_->path_of(Sha256::of(text))), text);
  EXPECT_EQ(put(text, 0, 5)->state, State::kStored);
  EXPECT_EQ(files(), 1U);
}

TEST_F(ArtifactStoreTest, TheEmptyArtifactIsOne) {
  EXPECT_EQ(put("", 0, 0)->state, State::kStored);
  EXPECT_EQ(store_->size(Sha256::of("")), 0);
}

TEST_F(ArtifactStoreTest, PartsComeInOrderAndSurviveARestart) {
  const std::string text(10'000, 'a');
  const Sha256 sha256 = Sha256::of(text);
  EXPECT_EQ(put(text, 0, 4000)->offset, 4000);
  const ArtifactPut wrong = *put(text, 5000, 1000);
  EXPECT_EQ(wrong.state, State::kWrongOffset);
  EXPECT_EQ(wrong.offset, 4000);
  reopen();
  EXPECT_EQ(store_->upload_offset(sha256, {1}), 4000);
  EXPECT_EQ(put(text, 4000, 3000)->state, State::kPart);
  EXPECT_EQ(put(text, 7000, 3000)->state, State::kStored);
  EXPECT_EQ(store_->upload_offset(sha256, {1}), 0);
  EXPECT_EQ(*read_file(store_->path_of(sha256)), text);
}

TEST_F(ArtifactStoreTest, AWrongDigestDropsTheUpload) {
  const std::string text = "right";
  Result<ArtifactPut> stored = store_->put(
      {.sha256 = Sha256::of(text), .uploader = {1}, .offset = 0, .total = 5, .data = "wrong"});
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(files(), 0U);
  EXPECT_EQ(put(text, 0, 5)->state, State::kStored);
}

TEST_F(ArtifactStoreTest, NobodyCompletesTheUploadOfAnother) {
  const std::string text = "secret text";
  ASSERT_TRUE(put(text, 0, 8, 1));
  EXPECT_EQ(put(text, 8, 3, 2)->state, State::kWrongOffset);
  EXPECT_EQ(store_->upload_offset(Sha256::of(text), {2}), 0);
  EXPECT_EQ(put(text, 8, 3, 1)->state, State::kStored);
}

TEST_F(ArtifactStoreTest, UnfinishedBytesAreCountedForEachUploader) {
  const std::string text = "hello world";
  ASSERT_TRUE(put(text, 0, 5, 1));
  ASSERT_TRUE(put("another", 0, 3, 1));
  ASSERT_TRUE(put(text, 0, 4, 2));
  EXPECT_EQ(store_->unfinished_bytes({1}), 8);
  reopen();
  EXPECT_EQ(store_->unfinished_bytes({1}), 8);
  EXPECT_EQ(store_->unfinished_bytes({2}), 4);
  ASSERT_TRUE(put(text, 5, 6, 1));
  EXPECT_EQ(store_->unfinished_bytes({1}), 3);
  const ArtifactPart wrong{
      .sha256 = Sha256::of("another"), .uploader = {1}, .offset = 3, .total = 4, .data = "x"};
  EXPECT_FALSE(store_->put(wrong));
  EXPECT_EQ(store_->unfinished_bytes({1}), 0);
}

TEST_F(ArtifactStoreTest, PartsThatNobodyTouchesAreRemoved) {
  const std::string text = "hello world";
  ASSERT_TRUE(put(text, 0, 5, 1));
  ASSERT_TRUE(put(text, 0, 4, 2));
  ASSERT_TRUE(put("whole", 0, 5, 1));
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "parts")) {
    if (entry.file_size() != 5) continue;
    std::filesystem::last_write_time(entry, entry.last_write_time() - std::chrono::minutes(61));
  }
  store_->remove_parts(Millis(3'600'000));
  EXPECT_EQ(store_->upload_offset(Sha256::of(text), {1}), 0);
  EXPECT_EQ(store_->unfinished_bytes({1}), 0);
  EXPECT_EQ(put(text, 5, 6, 1)->state, State::kWrongOffset);
  EXPECT_EQ(put(text, 4, 7, 2)->state, State::kStored);
  EXPECT_EQ(store_->size(Sha256::of("whole")), 5);
  EXPECT_TRUE(store_->remove(Sha256::of("whole")));
  EXPECT_TRUE(store_->remove(Sha256::of("whole")));
  EXPECT_EQ(store_->size(Sha256::of("whole")), std::nullopt);
}

TEST_F(ArtifactStoreTest, APartLiesWithinItsWhole) {
  for (const auto& [offset, total] :
       {std::pair<int64_t, int64_t>{-1, 5}, {6, 5}, {5, 5}, {0, -1}, {INT64_MAX, 5}}) {
    Result<ArtifactPut> put =
        store_->put({.sha256 = {}, .uploader = {}, .offset = offset, .total = total, .data = "x"});
    ASSERT_FALSE(put) << offset << " " << total;
    EXPECT_EQ(put.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace bcai::coordinator
