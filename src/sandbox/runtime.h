// SPDX-License-Identifier: Apache-2.0
// The OCI runtime as a program: found, its version judged, its command line.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bcai::sandbox {

struct RuntimeVersion {
  std::array<int, 3> parts{};
  auto operator<=>(const RuntimeVersion&) const = default;
  std::string text() const;
};

// From the first line of `runc --version`: "runc version 1.1.5+ds1".
std::optional<RuntimeVersion> parse_runtime_version(std::string_view output);

// From its line "libseccomp: 2.5.4"; 0.0.0 when there is none.
RuntimeVersion parse_libseccomp_version(std::string_view output);

struct Runtime {
  std::string program;
  RuntimeVersion version;
  RuntimeVersion libseccomp;  // that it was built with

  std::string text() const { return "runc " + version.text(); }
  // Whether it can hand over what the kernel tells of denied calls.
  bool counts_calls() const { return libseccomp >= RuntimeVersion{{2, 5, 0}}; }
  // What is to be said of this version; "" when nothing is.
  std::string warning() const;
};

// kNotFound, or kFailedPrecondition below 1.1.0; the message says how to install it.
Result<Runtime> find_runtime(const std::string& name);

// The same, remembering the answer in a file as long as the program is the same.
Result<Runtime> find_runtime(const std::string& name, const std::filesystem::path& note);

struct RunPaths {
  std::filesystem::path state;   // runc's --root
  std::filesystem::path bundle;  // holds config.json
  std::filesystem::path pid_file;
  std::filesystem::path log;
};

// runc run --detach …, with descriptor 3 handed through.
std::vector<std::string> run_arguments(const Runtime& runtime, const RunPaths& paths,
                                       const std::string& id, bool rootless);

// The last message of runc's JSON log; "" when there is none.
std::string last_log_message(std::string_view log);

}  // namespace bcai::sandbox
