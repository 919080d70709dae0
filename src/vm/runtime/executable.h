// SPDX-License-Identifier: Apache-2.0
// A bound program ready to run on this machine's processor: compiled, weights loaded and packed,
// kernels chosen.
//
//   BCAI_TRY_ASSIGN(auto executable, prepare(program, weights, {.threads = 2}));
//   BCAI_TRY_ASSIGN(std::vector<Tensor> results, executable->run(inputs));
//
// The results have the bits of the reference backend, whatever the SIMD level and threads.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vm/compiler/compile.h"
#include "vm/numerics/simd_level.h"
#include "vm/runtime/footprint.h"
#include "vm/runtime/profile.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm {

// The tensor of a parameter: dtype and shape as the program lists them, else prepare() refuses it.
using ParamSource = std::function<Result<Tensor>(const WeightFile& file, const Param& param)>;

struct PrepareOptions {
  std::optional<SimdLevel> level;  // otherwise the best that this processor has
  int threads = 1;
  // A launch of fewer nanoseconds, by estimate, stays on one thread: waking others would cost more.
  int64_t parallel_ns_min = 20'000;
  // Where packed weights are kept for later processes; nowhere when it is empty.
  std::filesystem::path packed_directory;
  // Called when a weight has been packed, and in the end: what was read of the weights may be
  // dropped from memory until it is read again.
  std::function<void()> on_packed;
  CompileOptions compile;
};

struct RunOptions {
  // The states among the inputs are rewritten where they are and come back as results. Otherwise
  // they are copied and the inputs stay as they were. A state that shares memory with another
  // input is refused; what a run that failed leaves in the states is unspecified.
  bool states_in_place = false;
  // Looked at between launches and inside long ones; becoming true ends the run with kCancelled.
  const std::atomic<bool>* cancelled = nullptr;
  Profile* profile = nullptr;  // collects the time of each launch
  // Gets the program's checkpoints, in its order; kFailedPrecondition where it was compiled
  // without.
  std::vector<Tensor>* checkpoints = nullptr;
};

class Executable {
 public:
  ~Executable();
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  // `inputs` in the order of main's arguments, results in that of its result_types. Any thread may
  // call, several at once; each run at the same time has its own arena and threads, which are kept
  // for later runs. Errors: kInvalidArgument for an input of another type and for a trap,
  // kCancelled, kResourceExhausted.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs,
                                  const RunOptions& options = {}) const;

  const Plan& plan() const;
  // The plan, and which backend runs each launch.
  std::string explain() const;
  Footprint footprint() const;
  int64_t packed_found_bytes() const;  // of the packed weights, in the packed_directory
  // The longest that a run goes on between two looks at the cancellation flag, by estimate; what
  // runs on the reference backend left out.
  double longest_piece_ns() const;
  // What a run takes at most on one thread, by estimate: every turn of every loop.
  double longest_run_ns() const;

 private:
  friend Result<std::shared_ptr<const Executable>> prepare(const BoundProgram& program,
                                                           const ParamSource& weights,
                                                           const PrepareOptions& options);
  struct Parts;
  explicit Executable(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

Result<std::shared_ptr<const Executable>> prepare(const BoundProgram& program,
                                                  const ParamSource& weights,
                                                  const PrepareOptions& options = {});

}  // namespace bcai::vm
