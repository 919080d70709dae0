// SPDX-License-Identifier: Apache-2.0
// The parsers of /proc and /sys take any bytes; what they give fits into Capabilities.
#include <algorithm>

#include "node/detect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::node;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const CpuInfo cpu = parse_cpuinfo(text);
  const auto printable = [](const std::string& word) {
    return word.size() <= 256 &&
           std::all_of(word.begin(), word.end(), [](char c) { return c >= ' ' && c <= '~'; });
  };
  BCAI_ASSERT(printable(cpu.model) && printable(parse_os_release(text)));
  BCAI_ASSERT(cpu.instruction_sets.size() <= 64);
  BCAI_ASSERT(parse_meminfo(text) >= 0);
  for (const auto& [controller, path] : parse_cgroup(text)) {
    BCAI_ASSERT(path.starts_with('/') && path.find("..") == std::string::npos);
  }
  BCAI_ASSERT(parse_cpu_max(text).value_or(1) > 0);
  BCAI_ASSERT(parse_memory_max(text).value_or(0) >= 0);
  return 0;
}
