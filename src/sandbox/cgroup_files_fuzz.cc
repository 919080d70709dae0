// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>

#include "sandbox/cgroup_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bcai::sandbox::parse_cgroup_mounts(text);
  bcai::sandbox::parse_own_groups(text);
  bcai::sandbox::parse_number(text);
  bcai::sandbox::parse_keyed(text, "oom_kill");
  bcai::sandbox::has_word(text, "memory");
  return 0;
}
