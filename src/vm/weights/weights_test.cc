// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "vm/weights/safetensors.h"
#include "vm/weights/store.h"

namespace bcai::vm {
namespace {

using namespace std::string_literals;

std::string file_of(std::string_view header, std::string_view data = "") {
  std::string file;
  for (size_t i = 0; i < 8; ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return file.append(header).append(data);
}

std::string findings_of(std::string_view header, std::string_view data = "") {
  std::vector<Finding> findings;
  EXPECT_FALSE(read_safetensors(file_of(header, data), &findings)) << header;
  return findings_text(findings);
}

std::string entry(std::string_view shape, std::string_view offsets, std::string_view dtype = "U8") {
  return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":{}}})", dtype, shape, offsets);
}
std::string one(std::string_view shape, std::string_view offsets, std::string_view dtype = "U8") {
  return R"({"t":)" + entry(shape, offsets, dtype) + "}";
}

TEST(SafetensorsTest, TensorsAreViewsSortedByName) {
  const std::string file =
      file_of(R"({"b":)" + entry("[2]", "[0,4]", "F16") + R"(,"a":)" + entry("[]", "[4,5]") +
                  R"(,"none":)" + entry("[0,7]", "[4,4]") + R"(,"__metadata__":{"format":"pt"}}  )",
              "wxyz!");
  std::vector<Finding> findings;
  const auto content = read_safetensors(file, &findings);
  ASSERT_TRUE(content) << findings_text(findings);
  ASSERT_EQ(content->tensors.size(), 3U);
  EXPECT_EQ(content->tensors[0].name, "a");
  EXPECT_EQ(content->tensors[0].bytes, "!");
  EXPECT_EQ(to_text(content->tensors[1].type, {}), "f16[2]");
  EXPECT_EQ(content->tensors[1].bytes, "wxyz");
  EXPECT_EQ(content->tensors[2].bytes, "");
  EXPECT_EQ(content->metadata.at("format"), "pt");
}

TEST(SafetensorsTest, WhatTheFormatForbidsIsRefused) {
  std::vector<Finding> findings;
  EXPECT_FALSE(read_safetensors("1234567", &findings));
  EXPECT_FALSE(read_safetensors("\xff\xff\xff\xff\xff\xff\xff\xff{}", &findings));
  EXPECT_FALSE(read_safetensors("\x03\0\0\0\0\0\0\0{}"s, &findings));
  EXPECT_FALSE(read_safetensors("\x00\0\0\0\0\0\0\0"s, &findings));
  EXPECT_EQ(
      findings_text(findings),
      "7 bytes, expected at least 8; a header of 18446744073709551615 bytes, expected at most "
      "16777216 and 2 that are there; a header of 3 bytes, expected at most 16777216 and 2 "
      "that are there; the header does not begin with {");
  EXPECT_EQ(findings_of(" {}"), "the header does not begin with {");
  EXPECT_EQ(findings_of("[]"), "the header does not begin with {");
  EXPECT_EQ(findings_of("{}", "x"), "1 bytes after the last tensor");
  EXPECT_NE(findings_of(
                R"({"t":)" + entry("[1]", "[0,1]") + R"(,"t":)" + entry("[1]", "[0,1]") + "}", "x")
                .find("duplicate key 't'"),
            std::string::npos);
  EXPECT_EQ(findings_of(R"({"t":{}})"), "/t: expected an object of dtype, shape and data_offsets");
  EXPECT_EQ(findings_of(R"({"t":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}})", "x"),
            "/t: expected an object of dtype, shape and data_offsets");
  EXPECT_EQ(findings_of(one("[1]", "[0,1]", "F64"), "x"),
            "/t: dtype \"F64\" is not one of F32, F16, BF16, I64, I32, I8, U8, BOOL");
  EXPECT_EQ(findings_of(one("[1.0]", "[0,1]"), "x"),
            "/t: shape has 1E0, expected an integer from 0 to 2147483647");
  EXPECT_EQ(findings_of(one("[-1]", "[0,1]"), "x"),
            "/t: shape has -1, expected an integer from 0 to 2147483647");
  EXPECT_EQ(findings_of(one("[1]", "[0,1e0]"), "x"),
            "/t: data_offsets are not two integers from 0");
  EXPECT_EQ(findings_of(one("[1]", "[0,1,1]"), "x"),
            "/t: data_offsets are not two integers from 0");
  EXPECT_EQ(findings_of(one("[1]", "[1,0]"), "x"), "/t: data_offsets are 1 and 0, of 1 bytes");
  EXPECT_EQ(findings_of(one("[2]", "[0,2]"), "x"), "/t: data_offsets are 0 and 2, of 1 bytes");
  EXPECT_EQ(findings_of(one("[1]", "[0,18446744073709551615]"), "x"),
            "/t: data_offsets are 0 and 18446744073709551615, of 1 bytes");
  EXPECT_EQ(findings_of(one("[1]", "[0,1]", "F32"), "x"), "/t: 1 bytes, expected 4 for f32[1]");
  EXPECT_EQ(findings_of(one("[2147483647,2147483647,2147483647]", "[0,1]"), "x"),
            "/t: more than 1099511627776 bytes");
  EXPECT_EQ(findings_of(one("[0,2147483647,2147483647,2147483647]", "[0,0]")),
            "/t: more than 1099511627776 bytes");
  EXPECT_EQ(findings_of(one("[1]", "[0,1]", "BOOL"), "x"), "/t: a bool that is neither 0 nor 1");
  EXPECT_EQ(findings_of(R"({"__metadata__":{"a":1}})"), "/__metadata__: 'a' is no text");
  const auto two = [](std::string_view first, std::string_view second) {
    return R"({"a":)" + entry("[2]", first) + R"(,"b":)" + entry("[2]", second) + "}";
  };
  EXPECT_EQ(findings_of(two("[0,2]", "[3,5]"), "wxyz!"),
            "/b: begins at 3, but the tensors before it end at 2: a hole");
  EXPECT_EQ(findings_of(two("[0,2]", "[1,3]"), "wxy"),
            "/b: begins at 1, but the tensors before it end at 2: a byte of two tensors");
  EXPECT_EQ(findings_of(two("[0,9]", "[1]"), "wxy"),
            "/a: data_offsets are 0 and 9, of 3 bytes; /b: data_offsets are not two integers from "
            "0");
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  Safetensors content;
  content.metadata = {{"k\"ey", "wert\n"}};
  content.tensors = {{"x/y", {DType::kU8, {3}}, "abc"},
                     {"a", {DType::kF32, {1, 2}}, "12345678"},
                     {"b", {DType::kBF16, {0}}, ""}};
  const auto bytes = encode_safetensors(content);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(bytes->find("12345678") % 8, 0U);
  std::vector<Finding> findings;
  const auto back = read_safetensors(*bytes, &findings);
  ASSERT_TRUE(back) << findings_text(findings);
  EXPECT_EQ(back->metadata, content.metadata);
  EXPECT_EQ(back->tensors[2].bytes, "abc");
  content.tensors.push_back({"a", {DType::kU8, {1}}, "x"});
  EXPECT_EQ(encode_safetensors(content).error().message, "two tensors have one name");
  content.tensors = {{"a", {DType::kU8, {2}}, "x"}};
  EXPECT_EQ(encode_safetensors(content).error().message, "tensor 'a' is u8[2] of 1 bytes");
  content.tensors = {{"\xff", {DType::kU8, {1}}, "x"}};
  EXPECT_FALSE(encode_safetensors(content));
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string name = ::testing::TempDir() + "/weightsXXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    auto opened = WeightStore::open(directory_ / "store");
    EXPECT_TRUE(opened);
    store_ = *std::move(opened);
  }
  ~StoreTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path write(const std::string& bytes) {
    const std::filesystem::path path = directory_ / "model.safetensors";
    EXPECT_TRUE(write_file(path, bytes));
    return path;
  }

  std::filesystem::path directory_;
  std::unique_ptr<WeightStore> store_;
};

TEST_F(StoreTest, AFileThatShrinksLaterIsNoMatter) {
  const std::string bytes = file_of(one("[100000]", "[0,100000]"), std::string(100'000, 'w'));
  const auto path = write(bytes);
  const auto weights = store_->add(path);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ((*weights)->sha256(), Sha256::of(bytes));
  EXPECT_EQ((*weights)->bytes(), bytes.size());
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  ASSERT_NE((*weights)->find("t"), nullptr);
  EXPECT_EQ((*weights)->find("t")->bytes, std::string(100'000, 'w'));
  EXPECT_EQ((*weights)->find("s"), nullptr);
  EXPECT_EQ((*weights)->find("u"), nullptr);
}

TEST_F(StoreTest, ContentIsFoundByItsDigestAlone) {
  const std::string bytes = file_of(one("[1]", "[0,1]"), "w");
  EXPECT_EQ(store_->load(Sha256::of(bytes)).error().code, ErrorCode::kNotFound);
  const auto first = store_->add(write(bytes));
  ASSERT_TRUE(first);
  const auto again = store_->load(Sha256::of(bytes));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->get(), first->get());
  auto other = WeightStore::open(directory_ / "store");
  ASSERT_TRUE(other);
  const auto mapped = (*other)->load(Sha256::of(bytes));
  ASSERT_TRUE(mapped);
  EXPECT_EQ((*mapped)->find("t")->bytes, "w");
  EXPECT_EQ((*(*other)->add(write(bytes))).get(), mapped->get());
}

TEST_F(StoreTest, ChangedContentIsNoticedAndMended) {
  const std::string bytes = file_of(one("[1]", "[0,1]"), "w");
  const auto path = write(bytes);
  ASSERT_TRUE(store_->add(path));
  const auto stored = directory_ / "store" / Sha256::of(bytes).text();
  struct stat info {};
  ASSERT_EQ(stat(stored.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0400U);
  ASSERT_TRUE(write_file(stored, file_of(one("[1]", "[0,1]"), "v")));
  EXPECT_EQ(store_->load(Sha256::of(bytes)).error().code, ErrorCode::kDataLoss);
  ASSERT_TRUE(store_->add(path));
  EXPECT_TRUE(store_->load(Sha256::of(bytes)));
}

TEST_F(StoreTest, ContentChangedInPlaceIsNoticedAlthoughItsTimeWasSetBack) {
  const std::string bytes = file_of(one("[1]", "[0,1]"), "w");
  ASSERT_TRUE(store_->add(write(bytes)));
  const auto stored = directory_ / "store" / Sha256::of(bytes).text();
  struct stat before {};
  ASSERT_EQ(stat(stored.c_str(), &before), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than a tick of the clock
  ASSERT_EQ(chmod(stored.c_str(), 0600), 0);
  std::fstream(stored, std::ios::in | std::ios::out).seekp(-1, std::ios::end).put('v');
  const std::array times = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, stored.c_str(), times.data(), 0), 0);
  EXPECT_EQ(store_->load(Sha256::of(bytes)).error().code, ErrorCode::kDataLoss);
}

TEST_F(StoreTest, AnUnchangedFileIsNotReadAgain) {
  const std::string bytes = file_of(one("[1]", "[0,1]"), "w");
  ASSERT_TRUE(store_->add(write(bytes)));
  const auto note = directory_ / "store" / (Sha256::of(bytes).text() + ".checked");
  const Result<std::string> state = read_file(note);
  ASSERT_TRUE(state);
  ASSERT_TRUE(store_->load(Sha256::of(bytes)));
  EXPECT_EQ(*read_file(note), *state);
  ASSERT_TRUE(write_file(note, "1 2 3\n"));
  ASSERT_TRUE(store_->load(Sha256::of(bytes)));  // read, and noted
  EXPECT_EQ(*read_file(note), *state);
}

TEST_F(StoreTest, AFileAtRestIsNotReadWhenItIsAddedAgain) {
  const std::string bytes = file_of(one("[1]", "[0,1]"), "w");
  const std::string others = file_of(one("[1]", "[0,1]"), "v");
  const auto path = write(bytes);
  ASSERT_TRUE(store_->add(path));
  const auto notes = directory_ / "store" / "added";
  EXPECT_FALSE(std::filesystem::exists(notes));  // it could change once more at the same time
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  ASSERT_TRUE(store_->add(path));
  const auto note = std::filesystem::directory_iterator(notes)->path();
  EXPECT_EQ(*read_file(note), Sha256::of(bytes).text());
  ASSERT_TRUE(write_file(note, "no digest"));
  EXPECT_EQ((*store_->add(path))->sha256(), Sha256::of(bytes));
  EXPECT_EQ(*read_file(note), Sha256::of(bytes).text());
  std::fstream(path, std::ios::in | std::ios::out).seekp(-1, std::ios::end).put('v');
  EXPECT_EQ((*store_->add(path))->sha256(), Sha256::of(others));
}

TEST_F(StoreTest, WhatIsNoWeightFileLeavesNothing) {
  const auto added = store_->add(write(file_of("{}", "x")));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(store_->add(write("")));
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(store_->add(directory_ / "pipe").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->add(directory_ / "gone").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "store"));
}

// Files of the format's own package are read, and ours by it.
TEST_F(StoreTest, ThePythonPackageAgrees) {
  const std::string python = ".venv/bin/python";
  if (std::system((python + " -c 'import safetensors.numpy' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "no .venv with safetensors and numpy: ./dev setup";
  }
  const auto run = [&](const std::string& script) {
    EXPECT_TRUE(write_file(directory_ / "script.py", script));
    return std::system(
        (python + " " + (directory_ / "script.py").string() + " " + directory_.string()).c_str());
  };
  ASSERT_EQ(run(R"(
import sys
import numpy
from safetensors.numpy import save_file
dtypes = ["float32", "float16", "int64", "int32", "int8", "uint8", "bool"]
tensors = {dtype: numpy.arange(6).reshape(2, 3).astype(dtype) for dtype in dtypes}
tensors["none"] = numpy.zeros((0, 4), "float32")
tensors["scalar"] = numpy.array(1.5, "float32")
save_file(tensors, sys.argv[1] + "/theirs.safetensors", {"by": "python"})
)"),
            0);
  const auto theirs = store_->add(directory_ / "theirs.safetensors");
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_EQ((*theirs)->tensors().size(), 9U);
  EXPECT_EQ((*theirs)->metadata().at("by"), "python");
  EXPECT_EQ((*theirs)->find("scalar")->bytes, "\0\0\xc0\x3f"s);
  EXPECT_EQ(to_text((*theirs)->find("none")->type, {}), "f32[0,4]");
  EXPECT_EQ((*theirs)->find("int8")->bytes, "\0\1\2\3\4\5"s);
  EXPECT_EQ((*theirs)->find("bool")->bytes, "\0\1\1\1\1\1"s);
  Safetensors ours;
  ours.metadata = {{"by", "ours"}};
  ours.tensors.assign((*theirs)->tensors().begin(), (*theirs)->tensors().end());
  ASSERT_TRUE(save_safetensors(directory_ / "ours.safetensors", ours));
  EXPECT_EQ(run(R"(
import sys
import numpy
from safetensors import safe_open
from safetensors.numpy import load_file
ours = load_file(sys.argv[1] + "/ours.safetensors")
theirs = load_file(sys.argv[1] + "/theirs.safetensors")
assert ours.keys() == theirs.keys()
for name, array in theirs.items():
    assert ours[name].dtype == array.dtype and ours[name].shape == array.shape, name
    assert numpy.array_equal(ours[name], array), name
with safe_open(sys.argv[1] + "/ours.safetensors", "numpy") as file:
    assert file.metadata() == {"by": "ours"}
)"),
            0);
}

}  // namespace
}  // namespace bcai::vm
