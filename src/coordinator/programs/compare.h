// SPDX-License-Identifier: Apache-2.0
// Holds each replica's answer against the re-run.
#pragma once

#include <vector>

#include "coordinator/programs/rerun.h"
#include "protocol/result.h"
#include "protocol/verification.h"

namespace bcai::coordinator {

struct ReplicaClaim {
  ReplicaAnswer answer;  // `agrees`, `differs` and `instruction` are filled in
  // Where its receipt lies. Without one the program failed there, as the node says; `outcome` and
  // `exit_code` tell how.
  std::filesystem::path receipt;
  Outcome outcome = Outcome::kNodeFailure;
  int exit_code = 0;
};

// A failure agrees with a re-run that failed of itself too. What ran out of memory or time agrees
// with nothing: another machine's limits say nothing about this one's.
Verification compare_with_rerun(const vm::Program& program, std::vector<ReplicaClaim> claims,
                                const Rerun& rerun);

}  // namespace bcai::coordinator
