// SPDX-License-Identifier: Apache-2.0
#include "sandbox/bundle.h"

#include <gtest/gtest.h>

#include <set>

namespace bcai::sandbox {
namespace {

Task small_task() {
  Task task;
  task.id = "job_1";
  task.code = "print(1)";
  task.limits.memory_bytes_max = 100'000'000;
  task.limits.processes_max = 7;
  task.limits.cpu_millicores = 1500;
  task.limits.disk_bytes_max = 5'000'000;
  return task;
}

CgroupLayout all_controllers(CgroupMode mode) {
  CgroupLayout layout;
  layout.mode = mode;
  layout.memory = layout.swap = layout.pids = layout.cpu = true;
  return layout;
}

BundleContext root_context(const CgroupLayout& layout) {
  return {.root = "/run/bcai/root",
          .cgroup_path = "/bcai/x/job_1",
          .cgroups = &layout,
          .seccomp = nullptr,
          .rootless = false,
          .uid = 300'000,
          .binds = {}};
}

TEST(Validate, IdAndLimits) {
  EXPECT_TRUE(validate(small_task()));
  for (const char* id : {"", "../x", "A", "a b", "a/b"}) {
    Task task = small_task();
    task.id = id;
    EXPECT_FALSE(validate(task)) << id;
  }
  Task long_id = small_task();
  long_id.id = std::string(65, 'a');
  EXPECT_FALSE(validate(long_id));
  Task task = small_task();
  task.limits.memory_bytes_max = 0;
  const auto bad = validate(task);
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("memory_bytes_max is 0, expected 16000000"), std::string::npos)
      << bad.error().message;
  task = small_task();
  task.limits.processes_max = -1;
  EXPECT_FALSE(validate(task));
  task = small_task();
  task.limits.wall_ms_max = INT64_MAX;
  EXPECT_FALSE(validate(task));
  task = small_task();
  task.environment = {{"A=B", "c"}};
  EXPECT_FALSE(validate(task));
}

TEST(Config, LimitsInGroups) {
  const CgroupLayout v2 = all_controllers(CgroupMode::kV2);
  const json::object config = make_config(small_task(), root_context(v2));
  const json::object& linux = config.at("linux").as_object();
  EXPECT_EQ(linux.at("cgroupsPath").as_string(), "/bcai/x/job_1");
  const json::object& resources = linux.at("resources").as_object();
  EXPECT_EQ(resources.at("memory").at("limit").to_number<int64_t>(), 100'000'000);
  EXPECT_EQ(resources.at("memory").at("swap").to_number<int64_t>(), 100'000'000);
  EXPECT_EQ(resources.at("pids").at("limit").to_number<int64_t>(), 7);
  EXPECT_EQ(resources.at("cpu").at("quota").to_number<int64_t>(), 150'000);
  EXPECT_EQ(resources.at("cpu").at("period").to_number<int64_t>(), 100'000);
  EXPECT_EQ(resources.at("unified").at("memory.oom.group").as_string(), "1");
  const CgroupLayout v1 = all_controllers(CgroupMode::kV1);
  EXPECT_FALSE(make_config(small_task(), root_context(v1))
                   .at("linux")
                   .at("resources")
                   .as_object()
                   .contains("unified"));
}

TEST(Config, LimitsOfEachProcessWhereThereAreNoGroups) {
  const CgroupLayout none;
  BundleContext context = root_context(none);
  context.cgroup_path = "";
  const json::object config = make_config(small_task(), context);
  EXPECT_FALSE(config.at("linux").as_object().contains("cgroupsPath"));
  std::set<std::string> types;
  for (const json::value& limit : config.at("process").at("rlimits").as_array()) {
    types.insert(std::string(limit.at("type").as_string()));
  }
  EXPECT_TRUE(types.contains("RLIMIT_DATA"));
  EXPECT_TRUE(types.contains("RLIMIT_NPROC"));
}

TEST(Config, PrivilegesAreGone) {
  const CgroupLayout v2 = all_controllers(CgroupMode::kV2);
  const json::object config = make_config(small_task(), root_context(v2));
  const json::value& process = config.at("process");
  EXPECT_TRUE(process.at("noNewPrivileges").as_bool());
  EXPECT_FALSE(process.at("terminal").as_bool());
  EXPECT_EQ(process.at("user").at("uid").to_number<int>(), 1000);
  const json::object& capabilities = process.at("capabilities").as_object();
  EXPECT_EQ(capabilities.size(), 5u);
  for (const auto& set : capabilities) EXPECT_TRUE(set.value().as_array().empty()) << set.key();
  EXPECT_TRUE(config.at("root").at("readonly").as_bool());
  std::set<std::string> namespaces;
  for (const json::value& entry : config.at("linux").at("namespaces").as_array()) {
    namespaces.insert(std::string(entry.at("type").as_string()));
    EXPECT_FALSE(entry.as_object().contains("path"));
  }
  EXPECT_EQ(namespaces,
            (std::set<std::string>{"pid", "ipc", "uts", "mount", "network", "cgroup", "user"}));
  for (const json::value& mapping : config.at("linux").at("uidMappings").as_array()) {
    EXPECT_GE(mapping.at("hostID").to_number<int64_t>(), 300'000);
    EXPECT_EQ(mapping.at("size").to_number<int>(), 1);
  }
}

TEST(Config, NoMountCanBeExecutedOrHoldDevices) {
  const CgroupLayout v2 = all_controllers(CgroupMode::kV2);
  const json::object config = make_config(small_task(), root_context(v2));
  for (const json::value& mount : config.at("mounts").as_array()) {
    const std::string at(mount.at("destination").as_string());
    std::set<std::string> options;
    for (const json::value& option : mount.at("options").as_array()) {
      options.insert(std::string(option.as_string()));
    }
    EXPECT_TRUE(options.contains("nosuid")) << at;
    if (at == "/dev") continue;
    EXPECT_TRUE(options.contains("nodev")) << at;
    EXPECT_TRUE(options.contains("noexec")) << at;
    if (at == "/tmp" || at == "/dev/shm") {
      EXPECT_TRUE(options.contains("size=5000000")) << at;
      EXPECT_TRUE(options.contains("nr_inodes=100000")) << at;
    }
  }
}

TEST(Config, RootlessMapsOurselvesAlone) {
  const CgroupLayout none;
  BundleContext context = root_context(none);
  context.rootless = true;
  context.uid = 1234;
  context.binds = {{"/state/work", "/work", true}, {"/state/in", "/in", false}};
  const json::object config = make_config(small_task(), context);
  const json::array& mappings = config.at("linux").at("uidMappings").as_array();
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings[0].at("hostID").to_number<int64_t>(), 1234);
  const json::value& in = config.at("mounts").as_array().back();
  EXPECT_EQ(in.at("destination").as_string(), "/in");
  EXPECT_EQ(in.at("options").as_array().at(3).as_string(), "ro");
}

TEST(Config, EnvironmentIsBuiltFromNothing) {
  Task task = small_task();
  task.environment = {{"SEED", "7"}};
  const CgroupLayout v2 = all_controllers(CgroupMode::kV2);
  std::set<std::string> environment;
  const json::object config = make_config(task, root_context(v2));
  for (const json::value& entry : config.at("process").at("env").as_array()) {
    environment.insert(std::string(entry.as_string()));
  }
  EXPECT_TRUE(environment.contains("SEED=7"));
  EXPECT_TRUE(environment.contains("OMP_NUM_THREADS=2"));
  EXPECT_TRUE(environment.contains("HOME=/work"));
}

TEST(TaskJson, HoldsWhatTheRunnerReads) {
  Task task = small_task();
  task.filename = "train.py";
  task.arguments = {"--epochs", "3"};
  task.allowed_imports = {"socket"};
  const auto value = parse_json(make_task_json(task));
  ASSERT_TRUE(value);
  EXPECT_EQ(value->at("filename").as_string(), "train.py");
  EXPECT_EQ(value->at("arguments").as_array().size(), 2u);
  EXPECT_TRUE(value->at("imports").at("restricted").as_bool());
  EXPECT_EQ(value->at("imports").at("allowed").as_array().at(0).as_string(), "socket");
  EXPECT_EQ(value->at("carried_bytes_max").to_number<int64_t>(), 64'000'000);
}

}  // namespace
}  // namespace bcai::sandbox
