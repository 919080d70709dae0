// SPDX-License-Identifier: Apache-2.0
// The file system that a job sees: an interpreter, its standard library and the shared libraries
// that these and the site-packages ask for. No shell, no compiler, no setuid file. Built once for
// an interpreter, below <state>/roots, under a temporary name until it is whole.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "sandbox/interpreter.h"

namespace bcai::sandbox {

struct Root {
  std::filesystem::path tree;    // becomes /
  std::filesystem::path runner;  // becomes /opt/bcai
  Interpreter interpreter;

  std::string site_packages_inside() const;  // /opt/venv/lib/python3.11/site-packages
};

// Uses what is there when the interpreter has not changed, else asks it and builds. The caller
// holds the state directory's lock.
Result<Root> prepare_root(const std::filesystem::path& state, const std::string& python);

// Where a native program lies in its root.
inline constexpr const char* kNativeProgram = "/usr/bin/bcai";

// A root of `program`, every link followed, and the shared libraries that it asks for; roots of
// other programs and of other states of these files go. It has no runner and no interpreter.
// kFailedPrecondition, with its name, when a library is missing.
Result<Root> prepare_native_root(const std::filesystem::path& state,
                                 const std::filesystem::path& program);

}  // namespace bcai::sandbox
