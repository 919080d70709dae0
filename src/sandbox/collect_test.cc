// SPDX-License-Identifier: Apache-2.0
// Hostile trees. What lies outside the tree is a secret that no copy may hold.
#include "sandbox/collect.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "base/file.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

class Collect : public ::testing::Test {
 protected:
  void SetUp() override {
    base_ = make_temporary_directory();
    outputs_ = base_ / "work/outputs";
    ASSERT_TRUE(make_directories(outputs_));
    ASSERT_TRUE(write_file(base_ / "secret", "SECRET"));
  }
  void TearDown() override { fs::remove_all(base_); }

  Collection run(const CollectLimits& limits = {}) {
    const UniqueFd work(open((base_ / "work").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto collected = collect(work.get(), base_ / "out", limits);
    EXPECT_TRUE(collected) << collected.error().message;
    return collected ? *std::move(collected) : Collection{};
  }
  void put(const fs::path& below, std::string_view data) {
    ASSERT_TRUE(make_directories((outputs_ / below).parent_path()));
    ASSERT_TRUE(write_file(outputs_ / below, data));
  }
  static std::set<std::string> names(const Collection& collection) {
    std::set<std::string> out;
    for (const Artifact& artifact : collection.artifacts) out.insert(artifact.name);
    return out;
  }
  static std::map<std::string, std::string> reasons(const Collection& collection) {
    std::map<std::string, std::string> out;
    for (const LeftOut& left : collection.left_out) out[left.name] = left.reason;
    return out;
  }

  fs::path base_;
  fs::path outputs_;
};

TEST_F(Collect, CopiesAndHashesRegularFiles) {
  put("b/model.bin", std::string(300'000, 'm'));
  put("a.txt", "hello");
  put("empty", "");
  const Collection found = run();
  ASSERT_EQ(names(found),
            (std::set<std::string>{"outputs/a.txt", "outputs/b/model.bin", "outputs/empty"}));
  EXPECT_TRUE(found.left_out.empty());
  for (const Artifact& artifact : found.artifacts) {
    const auto copy = read_file(artifact.path);
    const auto original = read_file(base_ / "work" / artifact.name);
    ASSERT_TRUE(copy && original);
    EXPECT_EQ(*copy, *original);
    EXPECT_EQ(artifact.sha256.text(), Sha256::of(*original).text());
    EXPECT_EQ(artifact.bytes, static_cast<int64_t>(original->size()));
  }
}

TEST_F(Collect, NothingThere) {
  fs::remove(outputs_);
  const Collection found = run();
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_TRUE(found.left_out.empty());
  EXPECT_EQ(found.outputs_json, "");
}

TEST_F(Collect, LinksLeadNowhere) {
  fs::create_symlink(base_ / "secret", outputs_ / "absolute");
  fs::create_symlink("../../secret", outputs_ / "relative");
  fs::create_directory_symlink(base_, outputs_ / "directory");
  fs::create_symlink("/proc/self/root/etc/passwd", outputs_ / "magic");
  put("target", "x");
  fs::create_symlink("target", outputs_ / "harmless");
  const Collection found = run();
  EXPECT_EQ(names(found), std::set<std::string>{"outputs/target"});
  EXPECT_EQ(reasons(found).size(), 5u);
  EXPECT_EQ(reasons(found)["outputs/absolute"], "it is a link");
}

TEST_F(Collect, OutputsItselfIsALink) {
  fs::remove(outputs_);
  ASSERT_TRUE(make_directories(base_ / "elsewhere"));
  ASSERT_TRUE(write_file(base_ / "elsewhere/secret", "SECRET"));
  fs::create_directory_symlink(base_ / "elsewhere", outputs_);
  fs::create_directory_symlink(base_ / "elsewhere", base_ / "work/.bcai");
  ASSERT_TRUE(write_file(base_ / "elsewhere/outputs.json", "SECRET"));
  ASSERT_TRUE(write_file(base_ / "elsewhere/outputs.safetensors", "SECRET"));
  const Collection found = run();
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_EQ(found.outputs_json, "");
  EXPECT_EQ(reasons(found)["outputs"], "it is no directory");
}

TEST_F(Collect, SpecialFilesDoNotBlock) {
  ASSERT_EQ(mkfifo((outputs_ / "fifo").c_str(), 0600), 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", (outputs_ / "socket").c_str());
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Collection found = run();
  close(fd);
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_EQ(reasons(found)["outputs/fifo"], "it is no regular file");
  EXPECT_TRUE(reasons(found).contains("outputs/socket"));
}

TEST_F(Collect, HardLinksAreRefused) {
  ASSERT_EQ(::link((base_ / "secret").c_str(), (outputs_ / "hard").c_str()), 0);
  const Collection found = run();
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_EQ(reasons(found)["outputs/hard"], "it has 2 names (hard links)");
}

TEST_F(Collect, ASparseTebibyteIsNotRead) {
  put("sparse", "");
  ASSERT_EQ(truncate((outputs_ / "sparse").c_str(), int64_t{1} << 40), 0);
  const Collection found = run();
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_NE(reasons(found)["outputs/sparse"].find("larger than"), std::string::npos);
  EXPECT_FALSE(fs::exists(base_ / "out"));
}

TEST_F(Collect, ByteCapIsOfAllFilesTogether) {
  put("a", std::string(600, 'a'));
  put("b", std::string(600, 'b'));
  put("c", std::string(400, 'c'));
  const Collection found = run({.artifact_bytes_max = 1000});
  EXPECT_EQ(names(found), (std::set<std::string>{"outputs/a", "outputs/c"}));
  EXPECT_TRUE(reasons(found).contains("outputs/b"));
}

TEST_F(Collect, FileCap) {
  for (int i = 0; i < 5; i++) put(fmt::format("f{}", i), "x");
  const Collection found = run({.artifacts_max = 3});
  EXPECT_EQ(names(found), (std::set<std::string>{"outputs/f0", "outputs/f1", "outputs/f2"}));
  EXPECT_EQ(found.left_out.size(), 2u);
}

TEST_F(Collect, EntriesAndDepthAreBounded) {
  for (int i = 0; i < 50; i++) put(fmt::format("d{:02}/x", i), "");
  put("e/1/2/3/4/5/6/7/8/9/deep", "x");
  const Collection few = run({.artifacts_max = 1000, .entries_max = 20});
  EXPECT_EQ(few.artifacts.size(), 10u);
  const Collection found = run({.artifacts_max = 1000});
  EXPECT_EQ(names(found).count("outputs/e/1/2/3/4/5/6/7/8/9/deep"), 0u);
  EXPECT_NE(reasons(found)["outputs/e/1/2/3/4/5/6/7/8"].find("deep"), std::string::npos);
}

TEST_F(Collect, OddNamesAreLeftOutAndShownEscaped) {
  put("new\nline", "x");
  put("bell\x07", "x");
  put("latin\xe9", "x");
  put("\x1b[31mred", "x");
  put("fine ünïcode", "x");
  put("overlong\xc0\xaf", "x");
  const Collection found = run();
  EXPECT_EQ(names(found), std::set<std::string>{"outputs/fine ünïcode"});
  EXPECT_TRUE(reasons(found).contains("outputs/new\\x0aline"));
  EXPECT_TRUE(reasons(found).contains("outputs/latin\\xe9"));
  EXPECT_TRUE(reasons(found).contains("outputs/\\x1b[31mred"));
  EXPECT_EQ(found.left_out.size(), 5u);
}

TEST_F(Collect, TheListOfRefusalsIsBounded) {
  for (int i = 0; i < 300; i++) fs::create_symlink("x", outputs_ / fmt::format("l{:03}", i));
  const Collection found = run();
  ASSERT_EQ(found.left_out.size(), 101u);
  EXPECT_EQ(found.left_out.back().reason, "200 more were left out");
}

TEST_F(Collect, OutputsJsonAndTensors) {
  ASSERT_TRUE(make_directories(base_ / "work/.bcai"));
  ASSERT_TRUE(write_file(base_ / "work/.bcai/outputs.json", "{\"outputs\":{}}"));
  ASSERT_TRUE(write_file(base_ / "work/.bcai/outputs.safetensors", "tensors"));
  const Collection found = run({.artifacts_max = 0});
  EXPECT_EQ(found.outputs_json, "{\"outputs\":{}}");
  EXPECT_EQ(names(found), std::set<std::string>{"outputs.safetensors"});
}

TEST_F(Collect, AFileNamedAsTheTensorsIsAnotherArtifact) {
  ASSERT_TRUE(make_directories(base_ / "work/.bcai"));
  ASSERT_TRUE(write_file(base_ / "work/.bcai/outputs.safetensors", "tensors"));
  put("outputs.safetensors", "the job's own");
  const Collection found = run();
  ASSERT_EQ(names(found),
            (std::set<std::string>{"outputs.safetensors", "outputs/outputs.safetensors"}));
  for (const Artifact& artifact : found.artifacts) {
    const bool tensors = artifact.name == "outputs.safetensors";
    EXPECT_EQ(*read_file(artifact.path), tensors ? "tensors" : "the job's own");
  }
}

TEST_F(Collect, TooMuchJsonIsLeftOut) {
  ASSERT_TRUE(make_directories(base_ / "work/.bcai"));
  ASSERT_TRUE(write_file(base_ / "work/.bcai/outputs.json", std::string(2000, 'x')));
  const Collection found = run({.outputs_json_bytes_max = 1000});
  EXPECT_EQ(found.outputs_json, "");
  EXPECT_TRUE(reasons(found).contains("outputs.json"));
}

TEST_F(Collect, TensorsBeyondTheCapAreLeftOut) {
  ASSERT_TRUE(make_directories(base_ / "work/.bcai"));
  ASSERT_TRUE(write_file(base_ / "work/.bcai/outputs.safetensors", std::string(2'000'000, 'x')));
  const Collection found = run({.carried_bytes_max = 100'000});
  EXPECT_TRUE(found.artifacts.empty());
  EXPECT_TRUE(reasons(found).contains("outputs.safetensors"));
}

// Never so in an engine, where everybody is dead by then; the second line must hold by itself.
TEST_F(Collect, ALiveSwapNeverLeadsOutside) {
  put("swap/file", "fine");
  ASSERT_TRUE(make_directories(base_ / "outside"));
  ASSERT_TRUE(write_file(base_ / "outside/file", "SECRET"));
  fs::create_directory_symlink(base_ / "outside", base_ / "link");
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop) {
      renameat2(AT_FDCWD, (outputs_ / "swap").c_str(), AT_FDCWD, (base_ / "link").c_str(),
                RENAME_EXCHANGE);
    }
  });
  for (int i = 0; i < 200; i++) {
    for (const Artifact& artifact : run().artifacts) {
      const auto copy = read_file(artifact.path);
      EXPECT_TRUE(copy && *copy == "fine") << artifact.name;
    }
  }
  stop = true;
  swapper.join();
}

}  // namespace
}  // namespace bcai::sandbox
