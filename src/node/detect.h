// SPDX-License-Identifier: Apache-2.0
// What the kernel says of this machine. Reads only; the parsers are pure and take any bytes, since
// some of these files can be written by whoever set up the container.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/node.h"

namespace bcai::node {

struct CpuInfo {
  std::string model;
  std::vector<std::string> instruction_sets;  // those that matter to ML code, sorted
  int processors = 0;
};
CpuInfo parse_cpuinfo(std::string_view text);

// MemTotal in bytes; 0 when the text does not say.
int64_t parse_meminfo(std::string_view text);

// PRETTY_NAME, or "".
std::string parse_os_release(std::string_view text);

// /proc/self/cgroup: controller → path; the unified hierarchy (v2) under "".
std::map<std::string, std::string> parse_cgroup(std::string_view text);

// "200000 100000" (cpu.max) in thousandths of a core. Nothing when there is no limit.
std::optional<int64_t> parse_cpu_max(std::string_view text);

// memory.max or memory.limit_in_bytes. Nothing when there is no limit.
std::optional<int64_t> parse_memory_max(std::string_view text);

// All but the GPUs, read below `root` ("/" but in tests). cpu_millicores and memory_bytes heed the
// affinity mask and the limits of our cgroup and of those above it.
Capabilities read_machine(const std::filesystem::path& root, const std::filesystem::path& disk);

// Through NVIDIA's management library, loaded now and unloaded again. Without it: none.
std::vector<Gpu> detect_gpus(const char* library = "libnvidia-ml.so.1");

}  // namespace bcai::node
