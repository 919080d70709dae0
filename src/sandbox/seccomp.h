// SPDX-License-Identifier: Apache-2.0
// The system calls that a job may make: one table. What is not in it gives ENOSYS, as if the kernel
// were older; what only an attack or a mistake would call gives EPERM, and of that the calls that
// no library tries are counted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace bcai::sandbox {

enum class Compare : uint8_t { kEqual, kNotEqual, kMaskedEqual };

struct ArgumentRule {
  unsigned index;
  Compare compare;
  uint64_t value;      // of kMaskedEqual: the mask
  uint64_t value_two;  // of kMaskedEqual: what remains
};

struct SeccompRule {
  std::string_view calls;  // separated by spaces
  int errno_value;         // 0 allows
  std::optional<ArgumentRule> argument;
  std::string_view reason;
  bool counted = false;  // the kernel tells the engine of each, which gives `errno_value`
};

std::span<const SeccompRule> seccomp_rules();

// What the kernel is told to do with a call that no rule names.
inline constexpr int kSeccompDefaultErrno = 38;  // ENOSYS

// linux.seccomp of the OCI runtime specification, for this machine's architecture alone: a call by
// another one's numbers (i386, x32) ends the process with SIGSYS.
struct SeccompUse {
  // Sockets of AF_INET may be made too, for the way to a proxy through the loopback of an otherwise
  // empty network namespace.
  bool internet = false;
  bool counting = false;  // else what would be counted is refused like the rest
};
json::object seccomp_profile(SeccompUse use = {});

}  // namespace bcai::sandbox
