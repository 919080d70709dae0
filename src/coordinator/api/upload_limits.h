// SPDX-License-Identifier: Apache-2.0
// How much may be uploaded, and how long it stays when nothing comes of it. Nodes are not counted
// as keys are: they bring what jobs leave, which the sandbox limits.
#pragma once

#include "base/clock.h"

namespace bcai::coordinator {

struct UploadLimits {
  int64_t artifact_bytes_max = 10'000'000'000;  // of one
  int64_t key_bytes_max = 10'000'000'000;       // of a key: unfinished, or named by no job
  Millis part_kept{3'600'000};                  // an unfinished upload, from its last part on
  Millis unused_kept{86'400'000};               // an artifact that no job names
};

}  // namespace bcai::coordinator
