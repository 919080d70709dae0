// SPDX-License-Identifier: Apache-2.0
// gVisor's runtime as a program: found, its version judged, its command line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bcai::sandbox {

// gVisor's releases are days: "release-20241007.0", Debian's "0.0~20221219.0".
struct RunscVersion {
  int day = 0;  // 20221219
  int patch = 0;
  auto operator<=>(const RunscVersion&) const = default;
  std::string text() const;
};

// From the first line of `runsc --version`: "runsc version release-20241007.0".
std::optional<RunscVersion> parse_runsc_version(std::string_view output);

struct Runsc {
  std::string program;
  RunscVersion version;
  std::string platform;  // how it takes system calls: "systrap", "ptrace", "kvm"; "" until tried

  std::string text() const;  // "runsc 20221219.0 (ptrace)"
  // What is to be said of this version; "" when nothing is.
  std::string warning() const;
};

// kNotFound, or kFailedPrecondition below 20221219; the message says how to install it.
Result<Runsc> find_runsc(const std::string& name);

// The best first.
inline constexpr const char* kPlatforms[] = {"systrap", "ptrace", "kvm"};

// runsc run …, in the foreground. `directory` holds config.json and takes its log and its state.
// `reaches_sockets`: it may connect to unix sockets of directories that the bundle shows.
std::vector<std::string> runsc_arguments(const Runsc& runsc, const std::filesystem::path& directory,
                                         const std::string& id, bool reaches_sockets);
std::filesystem::path runsc_pid_file(const std::filesystem::path& directory);
std::filesystem::path runsc_log(const std::filesystem::path& directory);

}  // namespace bcai::sandbox
