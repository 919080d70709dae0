// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/packed_weights.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "vm/generator/generator.h"
#include "vm/program/builder.h"
#include "vm/runtime/executable.h"

namespace bcai::vm {
namespace {

// y = x times the weight "w" of the file with this digest.
BoundProgram product(const Sha256& file) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {3, 40}});
  const ValueId w = b.param(b.file({"weights", file, 1}), "w", {DType::kF32, {40, 70}});
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*b.finish({{"y", b.add(Opcode::kTensorMatMul, {x, w})}}), &findings);
  EXPECT_TRUE(verified) << findings_text(findings);
  return *bind(*verified, {}, &findings);
}

class PackedWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bcai-packed.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  auto prepared(const Sha256& file, uint64_t seed) const {
    return prepare(product(file),
                   [seed](const WeightFile&, const Param& param) {
                     return Result<Tensor>(random_tensor(param.type, seed));
                   },
                   {.packed_directory = directory_ / "packed"});
  }
  static std::string answer(const Executable& executable) {
    const std::vector<Tensor> results =
        *executable.run(std::vector{random_tensor({DType::kF32, {3, 40}}, 5)});
    return std::string(results[0].byte_view());
  }
  std::vector<std::filesystem::path> files() const {
    const std::filesystem::directory_iterator entries(directory_ / "packed");
    return {begin(entries), end(entries)};
  }

  std::filesystem::path directory_;
};

TEST_F(PackedWeightsTest, ALaterExecutableMapsWhatAnEarlierOneWrote) {
  const auto first = *prepared(Sha256::of("a"), 1);
  EXPECT_GT(first->footprint().packed, 0);
  EXPECT_EQ(first->packed_found_bytes(), 0);
  // Were the weights packed again, they would be others.
  const auto second = *prepared(Sha256::of("a"), 2);
  EXPECT_EQ(second->packed_found_bytes(), first->footprint().packed);
  EXPECT_EQ(answer(*second), answer(*first));
  const auto other = *prepared(Sha256::of("b"), 2);
  EXPECT_EQ(other->packed_found_bytes(), 0);
  EXPECT_NE(answer(*other), answer(*first));
}

TEST_F(PackedWeightsTest, AFileOfAnotherSizeIsWrittenAgain) {
  const std::string expected = answer(**prepared(Sha256::of("a"), 1));
  ASSERT_EQ(files().size(), 1U);
  ASSERT_TRUE(write_file(files()[0], "short"));
  const auto again = *prepared(Sha256::of("a"), 1);
  EXPECT_EQ(again->packed_found_bytes(), 0);
  EXPECT_EQ(answer(*again), expected);
  EXPECT_EQ((*prepared(Sha256::of("a"), 1))->packed_found_bytes(), again->footprint().packed);
}

TEST_F(PackedWeightsTest, ADirectoryThatCannotBeMadeIsNamed) {
  ASSERT_TRUE(write_file(directory_ / "packed", ""));
  const auto refused = prepared(Sha256::of("a"), 1);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find((directory_ / "packed").string()), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace bcai::vm
