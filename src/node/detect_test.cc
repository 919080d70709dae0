// SPDX-License-Identifier: Apache-2.0
#include "node/detect.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <fstream>

#include "base/file.h"
#include "node/node.h"

namespace bcai::node {
namespace {

using Names = std::vector<std::string>;

TEST(Detect, CpuinfoOfX86) {
  const CpuInfo info = parse_cpuinfo(
      "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t\t: fpu sse4_2 avx2 fma avx512f avx\n\n"
      "processor\t: 1\nmodel name\t: AMD EPYC 7B13\nflags\t\t: fpu sse4_2 avx2 fma avx512f avx\n");
  EXPECT_EQ(info.model, "AMD EPYC 7B13");
  EXPECT_EQ(info.processors, 2);
  EXPECT_EQ(info.instruction_sets, (Names{"avx", "avx2", "avx512f", "fma", "sse4_2"}));
}

TEST(Detect, CpuinfoOfArm) {
  const CpuInfo info = parse_cpuinfo(
      "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd aes asimddp sve\n"
      "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n");
  EXPECT_EQ(info.model, "BCM2835");
  EXPECT_EQ(info.instruction_sets, (Names{"asimd", "asimddp", "sve"}));
}

TEST(Detect, CpuinfoCannotForgeATerminal) {
  EXPECT_EQ(parse_cpuinfo("model name: a\x1b[31m\xff b\n").model, "a?[31m? b");
  EXPECT_EQ(parse_cpuinfo("model name: " + std::string(5000, 'x')).model.size(), 256U);
  EXPECT_EQ(parse_cpuinfo("").processors, 0);
}

TEST(Detect, Meminfo) {
  EXPECT_EQ(parse_meminfo("MemTotal:       24684096 kB\nMemFree: 1 kB\n"), 24684096LL * 1024);
  EXPECT_EQ(parse_meminfo("MemFree: 1 kB\n"), 0);
  EXPECT_EQ(parse_meminfo("MemTotal: 12 MB\n"), 0);
  EXPECT_EQ(parse_meminfo("MemTotal: 9223372036854775807 kB\n"), 0);
}

TEST(Detect, OsRelease) {
  EXPECT_EQ(parse_os_release("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(parse_os_release("PRETTY_NAME=Alpine\n"), "Alpine");
  EXPECT_EQ(parse_os_release("NAME=x\n"), "");
}

TEST(Detect, CgroupFile) {
  auto paths =
      parse_cgroup("4:memory:/a/b\n2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\nnonsense\n");
  EXPECT_EQ(paths["memory"], "/a/b");
  EXPECT_EQ(paths["cpu"], "/c");
  EXPECT_EQ(paths["cpuacct"], "/c");
  EXPECT_EQ(paths[""], "/u");
  EXPECT_EQ(parse_cgroup("0::/../../x\n")[""], "/");
}

TEST(Detect, LimitFiles) {
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1500);
  EXPECT_EQ(parse_cpu_max("max 100000\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max("-1 100000\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max("1 0\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max(""), std::nullopt);
  EXPECT_EQ(parse_memory_max("max\n"), std::nullopt);
  EXPECT_EQ(parse_memory_max("9223372036854771712\n"), std::nullopt);
  EXPECT_EQ(parse_memory_max("1073741824\n"), 1 << 30);
}

class MachineTree : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/machineXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root = name;
    put("proc/cpuinfo", "processor: 0\nmodel name: Test CPU\n");
    put("proc/meminfo", "MemTotal: 8000000 kB\n");
    put("etc/os-release", "PRETTY_NAME=\"Test OS\"\n");
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  void put(const std::string& path, std::string_view text) {
    ASSERT_TRUE(make_directories((root / path).parent_path()));
    ASSERT_TRUE(write_file(root / path, text));
  }
  std::filesystem::path root;
};

TEST_F(MachineTree, WithoutCgroupsAllIsOurs) {
  const Capabilities found = read_machine(root, root);
  EXPECT_EQ(found.cpu_model, "Test CPU");
  EXPECT_EQ(found.memory_bytes, 8000000LL * 1024);
  EXPECT_EQ(found.os, "Test OS");
  EXPECT_GE(found.cpu_millicores, 1000);
  EXPECT_GT(found.disk_bytes, 0);
}

TEST_F(MachineTree, TheLeastLimitOnTheWayUpCounts) {
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  put("sys/fs/cgroup/a/b/memory.max", "2000000000\n");
  put("sys/fs/cgroup/a/memory.max", "1000000000\n");
  const Capabilities found = read_machine(root, root / "not/yet/there");
  EXPECT_EQ(found.cpu_millicores, 500);
  EXPECT_EQ(found.memory_bytes, 1'000'000'000);
  EXPECT_GT(found.disk_bytes, 0);
}

TEST_F(MachineTree, VersionOneHierarchies) {
  put("proc/self/cgroup", "4:memory:/m\n2:cpu,cpuacct:/c\n");
  put("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "30000\n");
  put("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000000\n");
  const Capabilities found = read_machine(root, root);
  EXPECT_EQ(found.cpu_millicores, 300);
  EXPECT_EQ(found.memory_bytes, 3'000'000'000);
}

TEST(Detect, ThisMachine) {
  const Capabilities found = detect_machine("/");
  utsname system{};
  ASSERT_EQ(uname(&system), 0);
  EXPECT_EQ(found.hostname, system.nodename);
  EXPECT_EQ(found.kernel, system.release);
  EXPECT_FALSE(found.cpu_model.empty());
  EXPECT_GT(found.memory_bytes, 64 << 20);
  EXPECT_FALSE(found.version.empty());
}

TEST(Detect, GpusThroughTheDriversLibrary) {
  EXPECT_TRUE(detect_gpus("libbcai-there-is-no-such.so.1").empty());
  EXPECT_TRUE(detect_gpus("libc.so.6").empty());  // a library without the symbols
  const std::vector<Gpu> gpus = detect_gpus(BCAI_FIXTURE_NVML);
  ASSERT_EQ(gpus.size(), 2U);
  EXPECT_EQ(gpus[0].model, "Fixture GPU 1");
  EXPECT_EQ(gpus[1].model, "Fixture GPU 3");
  EXPECT_EQ(gpus[1].memory_bytes, 24LL << 30);
  EXPECT_EQ(gpus[0].driver, "550.54.15");
}

}  // namespace
}  // namespace bcai::node
