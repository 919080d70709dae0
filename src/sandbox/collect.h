// SPDX-License-Identifier: Apache-2.0
// Takes a job's results out of its work directory after its last process is gone. Trusts nothing in
// there: opens beneath the directory without following links, takes regular files with one name,
// counts what it reads rather than what a file claims to hold, and hashes while copying.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/mask.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

struct CollectLimits {
  int64_t artifacts_max = 64;
  int64_t artifact_bytes_max = 1'000'000'000;
  int64_t carried_bytes_max = 64'000'000;
  int64_t outputs_json_bytes_max = int64_t{16} << 20;
  int entries_max = 5000;  // looked at, below outputs/
  int depth_max = 8;
};

struct Collection {
  std::string outputs_json;  // "" when there is none
  std::vector<Artifact> artifacts;
  std::vector<LeftOut> left_out;
};

// Copies go to `to`, made for the first one, under names of our own. An Error means that this
// machine failed (a full disk, say), not that the job left something odd. What holds a value that
// `mask` knows is left out, or masked where it is text.
Result<Collection> collect(int work_fd, const std::filesystem::path& to,
                           const CollectLimits& limits, const Mask& mask = {});

}  // namespace bcai::sandbox
