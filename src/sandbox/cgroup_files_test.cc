// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup_files.h"

#include <gtest/gtest.h>

namespace bcai::sandbox {
namespace {

// From a Debian 12 machine of ours, booted with systemd.unified_cgroup_hierarchy=1.
constexpr const char* kUnified =
    "24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";

constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(CgroupMounts, Unified) {
  const CgroupMounts mounts = parse_cgroup_mounts(kUnified);
  EXPECT_EQ(mounts.v2, "/sys/fs/cgroup");
  EXPECT_TRUE(mounts.v1.empty());
}

TEST(CgroupMounts, HybridWithTwoControllersAtOnePlace) {
  const CgroupMounts mounts = parse_cgroup_mounts(kHybrid);
  EXPECT_EQ(mounts.v2, "/sys/fs/cgroup/unified");
  EXPECT_EQ(mounts.v1.at("cpu"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(mounts.v1.at("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(mounts.v1.at("memory"), "/sys/fs/cgroup/memory");
  EXPECT_EQ(mounts.v1.at("name=systemd"), "/sys/fs/cgroup/systemd");
  EXPECT_FALSE(mounts.v1.contains("rw"));
}

TEST(CgroupMounts, FirstOfSeveralAndEscapedPlaces) {
  const CgroupMounts mounts = parse_cgroup_mounts(
      "1 2 0:1 / /a\\040b rw - cgroup2 cgroup2 rw\n"
      "1 2 0:1 / /later rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(mounts.v2, "/a b");
}

TEST(CgroupMounts, BrokenLinesAreSkipped) {
  const CgroupMounts mounts = parse_cgroup_mounts(
      "\n - \n1 2 3 - cgroup2 cgroup2 rw\n1 2 0:1 / /x rw -\n1 2 0:1 / /x\\9 rw - cgroup2 c r");
  EXPECT_EQ(mounts.v2, "/x\\9");
  EXPECT_TRUE(parse_cgroup_mounts("").v2.empty());
}

TEST(OwnGroups, EachControllerHasItsPath) {
  const auto groups =
      parse_own_groups("9:name=systemd:/init\n4:memory:/a:b\n3:cpu,cpuacct:/c\n0::/user.slice\n");
  EXPECT_EQ(groups.at("name=systemd"), "/init");
  EXPECT_EQ(groups.at("memory"), "/a:b");
  EXPECT_EQ(groups.at("cpu"), "/c");
  EXPECT_EQ(groups.at("cpuacct"), "/c");
  EXPECT_EQ(groups.at(""), "/user.slice");
  EXPECT_TRUE(parse_own_groups("nonsense\n:\n").empty());
}

TEST(Numbers, OnlyWholeNumbers) {
  EXPECT_EQ(parse_number("12\n"), 12);
  EXPECT_EQ(parse_number("max\n"), std::nullopt);
  EXPECT_EQ(parse_number(""), std::nullopt);
  EXPECT_EQ(parse_number("12x"), std::nullopt);
  EXPECT_EQ(parse_number("99999999999999999999"), std::nullopt);
}

TEST(Keyed, TheLineWithTheWholeKey) {
  const char* text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
  EXPECT_EQ(parse_keyed(text, "oom_kill"), 3);
  EXPECT_EQ(parse_keyed(text, "oom"), std::nullopt);
  EXPECT_EQ(parse_keyed("max 7", "max"), 7);
}

TEST(Words, WholeWordsOnly) {
  EXPECT_TRUE(has_word("cpuset cpu io memory pids\n", "cpu"));
  EXPECT_TRUE(has_word("cpuset cpu io memory pids\n", "pids"));
  EXPECT_FALSE(has_word("cpuset io\n", "cpu"));
}

}  // namespace
}  // namespace bcai::sandbox
