// SPDX-License-Identifier: Apache-2.0
// What a Python interpreter of this machine consists of. Found by asking it, once: the answer is
// good as long as `marks` does not change.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bcai::sandbox {

struct Interpreter {
  std::string version;                                        // "3.11.2"
  std::filesystem::path program;                              // the binary, no link
  std::filesystem::path standard_library;                     // …/lib/python3.11
  std::filesystem::path extensions;                           // …/lib-dynload
  std::filesystem::path site_packages;                        // "" when there are none
  std::vector<std::pair<std::string, std::string>> packages;  // name, version

  std::string short_version() const;  // "3.11"
};

json::object encode(const Interpreter& interpreter);
Result<Interpreter> decode_interpreter(const json::value& value);

// Runs it. kFailedPrecondition when it does not run, or is older than 3.8.
Result<Interpreter> query_interpreter(const std::string& python);

// A text that changes when the file does, or when it comes or goes.
std::string mark_of(const std::filesystem::path& file);

// A text that changes when the interpreter, its configuration or its packages do.
std::string marks_of(const std::string& python, const Interpreter& interpreter);

}  // namespace bcai::sandbox
