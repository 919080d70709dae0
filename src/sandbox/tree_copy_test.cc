// SPDX-License-Identifier: Apache-2.0
#include "sandbox/tree_copy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

class Tree : public ::testing::Test {
 protected:
  void SetUp() override { base_ = make_temporary_directory(); }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }
  fs::path base_;
};

TEST_F(Tree, CopiesContentsAndTimesButNoRights) {
  ASSERT_TRUE(write_file(base_ / "program", "bytes", Durability::kCached, 04755));
  ASSERT_EQ(chmod((base_ / "program").c_str(), 04755), 0);
  ASSERT_TRUE(copy_plain_file(base_ / "program", base_ / "copy"));
  struct stat from {};
  struct stat to {};
  ASSERT_EQ(stat((base_ / "program").c_str(), &from), 0);
  ASSERT_EQ(stat((base_ / "copy").c_str(), &to), 0);
  EXPECT_EQ(to.st_mode & 07777, 0555u);
  EXPECT_EQ(to.st_mtim.tv_sec, from.st_mtim.tv_sec);
  EXPECT_EQ(to.st_mtim.tv_nsec, from.st_mtim.tv_nsec);
  EXPECT_EQ(*read_file(base_ / "copy"), "bytes");
}

TEST_F(Tree, CopiesWhatIsWanted) {
  ASSERT_TRUE(make_directories(base_ / "from/keep/deep"));
  ASSERT_TRUE(make_directories(base_ / "from/drop"));
  ASSERT_TRUE(write_file(base_ / "from/keep/deep/a", "a"));
  ASSERT_TRUE(write_file(base_ / "from/drop/b", "b"));
  fs::create_symlink("keep/deep/a", base_ / "from/link");
  fs::create_symlink("nowhere", base_ / "from/broken");
  ASSERT_TRUE(copy_tree(base_ / "from", base_ / "to",
                        [](const fs::path& below) { return below != "drop"; }));
  EXPECT_EQ(*read_file(base_ / "to/keep/deep/a"), "a");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(base_ / "to/link")));
  EXPECT_FALSE(fs::exists(base_ / "to/drop"));
  EXPECT_FALSE(fs::exists(fs::symlink_status(base_ / "to/broken")));
}

// In a child without root's rights, for which locks do not count.
TEST_F(Tree, RemovesLockedDirectoriesWithoutFollowingLinks) {
  ASSERT_EQ(chmod(base_.c_str(), 0777), 0);
  ASSERT_TRUE(make_directories(base_ / "outside"));
  ASSERT_TRUE(write_file(base_ / "outside/keep", "x"));
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(12345) != 0 || setuid(12345) != 0)) _exit(2);
    const fs::path tree = base_ / "tree";
    if (!make_directories(tree / "a/locked/b", 0700)) _exit(3);
    if (!write_file(tree / "a/locked/b/file", "x")) _exit(4);
    fs::create_directory_symlink(base_ / "outside", tree / "a/locked/link");
    if (chmod((tree / "a/locked/b").c_str(), 0) != 0) _exit(5);
    if (chmod((tree / "a/locked").c_str(), 0) != 0) _exit(6);
    remove_tree(tree);
    _exit(fs::exists(tree) ? 7 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(fs::exists(base_ / "outside/keep"));
}

}  // namespace
}  // namespace bcai::sandbox
