// SPDX-License-Identifier: Apache-2.0
// Against directories that look like the kernel's: versions that this machine does not run.
#include "sandbox/cgroup.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

class CgroupTree : public ::testing::Test {
 protected:
  void SetUp() override { root_ = make_temporary_directory(); }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, std::string_view text) {
    ASSERT_TRUE(make_directories((root_ / path).parent_path()));
    ASSERT_TRUE(write_file(root_ / path, text));
  }
  std::string text(const std::string& path) {
    auto data = read_file(root_ / path);
    return data ? *data : "absent";
  }

  CgroupLayout v2() {
    CgroupLayout layout;
    layout.mode = CgroupMode::kV2;
    layout.mounts.v2 = root_;
    return layout;
  }
  CgroupLayout v1() {
    CgroupLayout layout;
    layout.mode = CgroupMode::kV1;
    for (const char* controller : {"memory", "pids", "cpuacct"}) {
      layout.mounts.v1[controller] = root_ / controller;
    }
    return layout;
  }

  fs::path root_;
};

TEST_F(CgroupTree, InspectFindsV2AndWhatItOffers) {
  put("user/cgroup.controllers", "cpu memory pids\n");
  put("user/memory.swap.max", "max\n");
  const std::string mountinfo = "1 2 0:1 / " + root_.string() + " rw - cgroup2 cgroup2 rw\n";
  const CgroupLayout layout = inspect_cgroups(mountinfo, "0::/user\n");
  EXPECT_EQ(layout.mode, CgroupMode::kV2);
  EXPECT_TRUE(layout.memory && layout.pids && layout.cpu && layout.swap);
  EXPECT_TRUE(layout.lacking.empty());
}

TEST_F(CgroupTree, InspectSaysWhatIsMissing) {
  put("user/cgroup.controllers", "memory pids\n");
  const std::string mountinfo = "1 2 0:1 / " + root_.string() + " rw - cgroup2 cgroup2 rw\n";
  const CgroupLayout layout = inspect_cgroups(mountinfo, "0::/user\n");
  EXPECT_FALSE(layout.cpu);
  ASSERT_FALSE(layout.lacking.empty());
  EXPECT_NE(layout.lacking[0].find("CPU"), std::string::npos) << layout.lacking[0];
}

TEST_F(CgroupTree, InspectTellsV1FromHybrid) {
  const std::string v1_only =
      "1 2 0:1 / /nowhere/memory rw - cgroup cgroup rw,memory\n"
      "1 2 0:1 / /nowhere/pids rw - cgroup cgroup rw,pids\n";
  EXPECT_EQ(inspect_cgroups(v1_only, "4:memory:/\n").mode, CgroupMode::kV1);
  const std::string both = v1_only + "1 2 0:1 / " + root_.string() + " rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(inspect_cgroups(both, "4:memory:/\n0::/\n").mode, CgroupMode::kHybrid);
}

TEST_F(CgroupTree, InspectWithoutAnyGroups) {
  const CgroupLayout layout = inspect_cgroups("", "");
  EXPECT_EQ(layout.mode, CgroupMode::kNone);
  EXPECT_FALSE(layout.lacking.empty());
}

TEST_F(CgroupTree, ReadsCountersOfV2) {
  put("bcai/job/cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n");
  put("bcai/job/memory.peak", "5000000\n");
  put("bcai/job/memory.events", "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 1\n");
  put("bcai/job/pids.peak", "7\n");
  put("bcai/job/pids.events", "max 4\n");
  const CgroupLayout layout = v2();
  const Counters counters = JobGroup(layout, "/bcai/job").read();
  EXPECT_EQ(counters.cpu_ms, 1234);
  EXPECT_EQ(counters.memory_peak_bytes, 5'000'000);
  EXPECT_EQ(counters.oom_kills, 1);
  EXPECT_EQ(counters.processes_peak, 7);
  EXPECT_EQ(counters.processes_refused, 4);
}

TEST_F(CgroupTree, ReadsCountersOfV1) {
  put("cpuacct/bcai/job/cpuacct.usage", "2500000000\n");
  put("memory/bcai/job/memory.max_usage_in_bytes", "600\n");
  put("memory/bcai/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  put("pids/bcai/job/pids.events", "max 0\n");
  const CgroupLayout layout = v1();
  const Counters counters = JobGroup(layout, "/bcai/job").read();
  EXPECT_EQ(counters.cpu_ms, 2500);
  EXPECT_EQ(counters.memory_peak_bytes, 600);
  EXPECT_EQ(counters.oom_kills, 2);
  EXPECT_EQ(counters.processes_refused, 0);
  EXPECT_EQ(counters.processes_peak, 0);  // this kernel does not say
}

TEST_F(CgroupTree, KillAndPopulatedOfV2) {
  put("bcai/job/cgroup.events", "populated 1\nfrozen 0\n");
  put("bcai/job/cgroup.kill", "");
  const CgroupLayout layout = v2();
  const JobGroup group(layout, "/bcai/job");
  EXPECT_TRUE(group.populated());
  group.kill();
  EXPECT_EQ(text("bcai/job/cgroup.kill"), "1");
  put("bcai/job/cgroup.events", "populated 0\nfrozen 0\n");
  EXPECT_FALSE(group.populated());
}

TEST_F(CgroupTree, TheKilledAreNotHeldBackByTheirQuota) {
  put("cpu/bcai/job/cpu.cfs_quota_us", "50000");
  put("cpu/bcai/job/cpu.shares", "1024");
  CgroupLayout layout = v1();
  layout.cpu = true;
  layout.mounts.v1["cpu"] = root_ / "cpu";
  JobGroup(layout, "/bcai/job").kill();
  EXPECT_EQ(text("cpu/bcai/job/cpu.cfs_quota_us").substr(0, 2), "-1");
  EXPECT_EQ(text("cpu/bcai/job/cpu.shares").substr(0, 5), "10000");
}

TEST_F(CgroupTree, GivesUpAtTheDeadline) {
  put("bcai/job/cgroup.events", "populated 1\n");
  put("bcai/job/cgroup.kill", "");
  const CgroupLayout layout = v2();
  const FakeClock clock;
  EXPECT_FALSE(JobGroup(layout, "/bcai/job").kill_until_empty(clock, clock.now()));
}

TEST_F(CgroupTree, ModeNoneKnowsNothingAndHarmsNobody) {
  const CgroupLayout layout;
  const JobGroup group(layout, "/bcai/job");
  EXPECT_EQ(group.runc_path(), "");
  EXPECT_EQ(group.read().cpu_ms, 0);
  EXPECT_FALSE(group.populated());
  group.kill();
  group.remove();
  EXPECT_TRUE(group.children().empty());
}

TEST_F(CgroupTree, ChildrenAreDirectoriesOfAnyHierarchy) {
  put("memory/bcai/a/x", "");
  put("pids/bcai/b/x", "");
  put("pids/bcai/tasks", "");
  const CgroupLayout layout = v1();
  EXPECT_EQ(JobGroup(layout, "/bcai").children(), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace bcai::sandbox
