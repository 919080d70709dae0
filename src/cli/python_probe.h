// SPDX-License-Identifier: Apache-2.0
// Asks an interpreter what it is.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace bcai::cli {

struct PythonProbe {
  std::string version;  // "3.11.2"
  std::string torch;    // its version, "" without
};

// kNotFound: there is no such program. kFailedPrecondition: it does not answer like Python.
Result<PythonProbe> probe_python(const std::string& python, Millis timeout = Millis(20'000));

}  // namespace bcai::cli
