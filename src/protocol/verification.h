// SPDX-License-Identifier: Apache-2.0
// What came of running a native program on several nodes: did their answers agree, and if not, who
// agreed with the coordinator's own re-run. Part of the job's record (schema/openapi.yaml,
// Verification).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"
#include "base/id.h"

namespace bcai {

// One replica's answer. Without a commitment the program failed there, as the node says.
struct ReplicaAnswer {
  AttemptId attempt;
  NodeId node;
  std::string node_name;
  std::optional<Sha256> commitment;
  std::optional<bool> agrees;  // with the re-run, when there was one
  std::string differs;         // "result 'y'", "" when it agrees
  std::string instruction;     // "main, instruction 3 (TensorMatMul)", "" when not known
};

struct Verification {
  enum class Verdict : uint8_t {
    kAgreed,     // all replicas gave the same answer
    kDiffered,   // they did not; a re-run told who is right
    kUndecided,  // they did not, and no re-run came to an end
  };
  Verdict verdict = Verdict::kUndecided;
  std::string reason;                      // a sentence for the user
  std::optional<Sha256> rerun_commitment;  // of the re-run that ended well
  std::vector<ReplicaAnswer> answers;      // by replica
};

std::string_view name(Verification::Verdict verdict);  // "agreed", …

json::value encode(const Verification& verification);
Verification decode_verification(const json::value& value, std::vector<Finding>* findings);

}  // namespace bcai
