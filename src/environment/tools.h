// SPDX-License-Identifier: Apache-2.0
// What the steps in the sandbox find at /opt/environment: uv, the certificates of authorities, the
// operator's wheels. A directory made of links or copies, anew when one of them has changed.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "environment/environment.h"

namespace bcai::environment {

struct Tools {
  std::filesystem::path directory;  // uv, ca.pem, wheels/0/…, wheels/1/…
};

// kFailedPrecondition when uv or, for an index of https, the certificates are missing.
Result<Tools> prepare_tools(const Options& options);

}  // namespace bcai::environment
