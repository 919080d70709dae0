// SPDX-License-Identifier: Apache-2.0
// Reads a job's Python before it is scheduled: is it Python, and does it import only what the
// policy allows? This is for clear, early errors. It is no border: the sandbox is.
//
// The parser is CPython's own, in a child process that is kept warm. It only parses, has no rights
// and little memory; code that kills or stalls it is refused, and a new child takes its place.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/decode.h"
#include "base/result.h"

namespace bcai::policy {

struct CheckRequest {
  std::string code;
  std::string filename;
  bool imports_restricted = true;            // import_policy "standard"
  std::vector<std::string> allowed_imports;  // beyond imports.json
  std::vector<std::string> job_modules;      // top-level names of the job's own files
};

struct CheckReport {
  // Each with pointer "/code", line and column: "syntax error: '(' was never closed", "import of
  // 'ctypes' is not allowed by the import policy; ask with --allow-import ctypes".
  std::vector<Finding> findings;
  std::vector<std::string> imports;  // top-level modules, sorted
};

struct CheckerOptions {
  std::string python = "/usr/bin/python3";
  Millis timeout{2'000};  // of one check
};

class Checker {
 public:
  // kFailedPrecondition when python cannot be started.
  static Result<std::unique_ptr<Checker>> start(CheckerOptions options);
  ~Checker();

  // Calls `done` once, from the checker's thread. An Error means that nothing could be said
  // (kUnavailable); refused code is a report with findings.
  void check(CheckRequest request, std::function<void(Result<CheckReport>)> done);

  struct Impl;

 private:
  explicit Checker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The policy's lists, also given to the runner inside the sandbox: imports.json.
std::string_view imports_json();

}  // namespace bcai::policy
