// SPDX-License-Identifier: Apache-2.0
// What came of an attempt: sent by the node, stored by the coordinator, shown to the user.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"
#include "packaging/lock.h"
#include "protocol/progress.h"
#include "protocol/state.h"

namespace bcai {

// Read from the kernel after the last process was gone.
struct Usage {
  int64_t wall_ms = 0;
  int64_t cpu_ms = 0;
  int64_t memory_peak_bytes = 0;
  int64_t processes_peak = 0;
  int64_t output_bytes = 0;  // written by the job, kept or not
  int64_t output_bytes_dropped = 0;
};

// Where the time outside and inside the sandbox went, by the node's clock.
struct Timings {
  int64_t staging_ms = 0;  // lease received → sandbox asked to start
  int64_t start_ms = 0;    // → runner's first sign of life
  int64_t run_ms = 0;      // → last process gone
  int64_t collect_ms = 0;  // → outputs read, sandbox destroyed
  // Where the job's process came from: "cold" (the container runtime), "forked" (a process with its
  // libraries loaded, when the job came), "warm" (one that waited); "" when it never was.
  std::string start;
};

// What held the job, as the node tells it.
struct SandboxUsed {
  std::string security_level;  // "standard", "high"; "" when it never was in a sandbox
  std::string runtime;         // "runc 1.1.5", "runsc 20221219.0 (ptrace)"
  // Of the high level: when it was passed, and of how many lines. Else the SHA-256 by which the
  // node's audit log names the node's; "" is none.
  std::string self_test;
};

struct ArtifactRef {
  std::string name;  // "outputs/…", as in the job's directory, or "outputs.safetensors"
  Sha256 sha256;
  int64_t bytes = 0;
};

// A value that was not carried, and why.
struct LeftOut {
  std::string name;
  std::string reason;
};

struct TensorRef {
  std::string name;   // of the Python variable, and of the entry in outputs.safetensors
  std::string dtype;  // as safetensors names it: "F32", "I64", …
  std::vector<int64_t> shape;
  std::optional<Sha256> sha256;  // of its bytes: of a native program's result
};

// What the job itself says of its failure: a hint for people, never a ground for a decision.
struct JobError {
  std::string type;  // "ValueError"; "" when there was none
  std::string message;
  std::string traceback;
  int line = 0;  // in the user's file, 0 when unknown
};

// The artifacts of a native program.
inline constexpr std::string_view kTensorsArtifact = "outputs.safetensors";
inline constexpr std::string_view kReceiptArtifact = "outputs/receipt.json";

// Of the node's audit log, once the attempt's record was in it (docs/formats/audit.md): who keeps
// it sees when that record, or one before it, was changed or taken away.
struct AuditHead {
  int64_t seq = 0;
  Sha256 hash;
};

struct AttemptResult {
  Outcome outcome = Outcome::kNodeFailure;
  int exit_code = 0;     // of a finished job; 128 + n when ended by signal n
  std::string detail;    // one sentence for the user: "used more than 2 GB of memory"
  json::object outputs;  // plain JSON values
  std::vector<TensorRef> tensors;
  std::vector<LeftOut> left_out;
  std::vector<ArtifactRef> artifacts;
  // Of a native program's receipt, once the coordinator has held receipt and results against each
  // other. What a node says here is not believed.
  std::optional<Sha256> commitment;
  // What a Python job with requirements ran on; given back as a job's environment_lock, the same.
  std::optional<packaging::Lock> environment_lock;
  std::optional<AuditHead> audit;
  JobError error;
  Usage usage;
  Timings timings;
  SandboxUsed sandbox;
  Progress progress;      // the last that was told
  int64_t log_bytes = 0;  // size of the attempt's log, see protocol/log_record.h
};

json::value encode(const AttemptResult& result);
AttemptResult decode_attempt_result(const json::value& value, std::vector<Finding>* findings);

json::value encode(const ArtifactRef& artifact);
json::value encode(const Usage& usage);

}  // namespace bcai
