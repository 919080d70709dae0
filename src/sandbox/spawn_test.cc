// SPDX-License-Identifier: Apache-2.0
#include "sandbox/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace bcai::sandbox {
namespace {

Result<Captured> shell(const std::string& script, Millis timeout = Millis(20'000)) {
  return run_captured({.arguments = {"/bin/sh", "-c", script}, .environment = {"A=1"}}, timeout);
}

TEST(Spawn, StatusAndOutput) {
  const auto ran = shell("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->status.code, 3);
  EXPECT_EQ(ran->output, "out\nerr\n");
  EXPECT_EQ(shell("kill -9 $$")->status.signal, 9);
  EXPECT_EQ(shell("kill -9 $$")->status.code, 137);
}

TEST(Spawn, OnlyTheGivenEnvironment) {
  const auto ran =
      run_captured({.arguments = {"/usr/bin/env"}, .environment = {"A=1"}}, Millis(20'000));
  EXPECT_EQ(ran->output, "A=1\n");
}

TEST(Spawn, NoDescriptorOfOursLeaks) {
  const UniqueFd ours(open("/dev/null", O_RDONLY));  // on purpose not close-on-exec
  const auto ran = shell("ls /proc/self/fd | sort -n | tr '\\n' ' '");
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->output, "0 1 2 3 ");  // 3 is ls's own, of the directory
}

TEST(Spawn, SignalsAreAsNew) {
  signal(SIGPIPE, SIG_IGN);
  const auto ran = shell("grep -E 'SigIgn|SigBlk' /proc/self/status");
  signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(ran->output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Spawn, SaysWhatFailed) {
  const auto missing = spawn({.arguments = {"/no/such/program"}, .environment = {}});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("execute /no/such/program"), std::string::npos);
  const auto group =
      spawn({.arguments = {"/bin/true"}, .environment = {}, .cgroup_procs = {"/no/such/group"}});
  ASSERT_FALSE(group);
  EXPECT_NE(group.error().message.find("join /no/such/group"), std::string::npos);
  const auto unknown = spawn({.arguments = {"no-such-program"}, .environment = {}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
}

TEST(Spawn, EndsWhatTakesTooLong) {
  const auto slow = shell("sleep 100", Millis(50));
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kDeadlineExceeded);
}

TEST(Spawn, DescriptorsMayLieOnEachOthersPlaces) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  auto child = spawn({.arguments = {"/bin/sh", "-c", "echo three >&3"},
                      .environment = {},
                      .third_fd = write_end.get()});
  write_end.reset();
  ASSERT_TRUE(child);
  char buffer[16] = {};
  EXPECT_EQ(read(read_end.get(), buffer, sizeof buffer), 6);
  EXPECT_STREQ(buffer, "three\n");
  EXPECT_EQ(wait_for(*child)->code, 0);
}

}  // namespace
}  // namespace bcai::sandbox
