// SPDX-License-Identifier: Apache-2.0
// Reads the kernel's texts about control groups. Pure; any bytes in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bcai::sandbox {

struct CgroupMounts {
  std::string v2;                         // mount point of the cgroup2 hierarchy; "" when none
  std::map<std::string, std::string> v1;  // "memory" → mount point; named ones: "name=systemd"
};

// /proc/self/mountinfo. Of several mounts of a hierarchy the first counts.
CgroupMounts parse_cgroup_mounts(std::string_view mountinfo);

// /proc/self/cgroup: controller → path; the cgroup2 hierarchy's controller is "".
std::map<std::string, std::string> parse_own_groups(std::string_view text);

// A file that holds one number. "max" and anything else is nothing.
std::optional<int64_t> parse_number(std::string_view text);

// A file of lines "key number".
std::optional<int64_t> parse_keyed(std::string_view text, std::string_view key);

// Is `word` one of the words?
bool has_word(std::string_view words, std::string_view word);

}  // namespace bcai::sandbox
