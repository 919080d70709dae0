// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mounts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace bcai::sandbox {
namespace {

// As a process has that another thread is starting.
TEST(Mounts, BecomeReadOnlyWhenAnotherHolderOfAFileIsGone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto mount = make_tmpfs({.bytes_max = 65'536, .inodes_max = 8, .mode = 0755});
  ASSERT_TRUE(mount) << mount.error().message;
  UniqueFd held(openat(mount->get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(held);
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    held.reset();
  });
  const auto done = make_read_only(mount->get());
  holder.join();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(openat(mount->get(), "file", O_WRONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EROFS);
}

}  // namespace
}  // namespace bcai::sandbox
