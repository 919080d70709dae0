// SPDX-License-Identifier: Apache-2.0
// What one run of an executable at a time needs: memory, kernels bound to it, threads. Its loop
// over launches allocates nothing.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vm/backend/cpu/thread_pool.h"
#include "vm/plan/memory.h"
#include "vm/runtime/arena.h"
#include "vm/runtime/executable.h"
#include "vm/runtime/footprint.h"
#include "vm/runtime/kernel.h"

namespace bcai::vm {

// One run at a time. The plan, the packed weights and what `weights` points to must outlive it.
class Instance {
 public:
  // `weights` has the addresses of weights and constants.
  static Result<std::unique_ptr<Instance>> make(const Plan& plan, const Addresses& weights,
                                                PackedWeights& packed, SimdLevel level,
                                                const PrepareOptions& options);

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const RunOptions& options);

  // Whether a launch reads the weight where it lies, not packed.
  bool reads(uint32_t buffer) const { return addresses_.asked(buffer); }
  // But for `packed`, which is common to all instances.
  Footprint footprint() const;
  // The longest that a run goes on between two looks at the cancellation flag, by estimate; what
  // runs on the reference backend left out.
  double longest_piece_ns() const { return longest_piece_ns_; }
  // What a run takes at most on one thread, by estimate: every turn of every loop.
  double longest_run_ns() const { return longest_ns(main_); }
  // "cpu" or "reference" for each launch, in the order of the plan.
  std::vector<std::string_view> backends() const;

 private:
  struct Node {
    const Launch* launch = nullptr;
    Kernel* kernel = nullptr;  // null for kRepeat and kCond
    int64_t units = 0;
    int64_t chunk = 0;  // units between two looks at the cancellation flag
    bool parallel = false;
    double ns = 0;  // of all units on one thread, by estimate
    std::vector<std::vector<Node>> bodies;
  };

  Instance(const Plan& plan, const Addresses& weights, const PrepareOptions& options);
  std::vector<Node> nodes_of(const Sequence& sequence, const KernelTarget& target);
  static double longest_ns(const std::vector<Node>& nodes);
  Result<void> allocate();
  void reserve_places();
  // Tensors for results, checkpoints and states; moves the buffers that depend on the caller.
  void place_outside(std::span<const Tensor> inputs, const RunOptions& options);
  Tensor tensor_of(const Operand& operand, bool checkpoint) const;
  Result<void> run_nodes(const std::vector<Node>& nodes, const RunOptions& options);
  Result<void> run_repeat(const Node& node, const RunOptions& options);
  Result<void> run_kernel(const Node& node, const RunOptions& options);
  Result<void> run_units(const Node& node, const RunOptions& options);
  bool holds(const Operand& predicate) const;

  const Plan& plan_;
  const int64_t parallel_ns_min_;
  Addresses addresses_;
  Arena arena_;
  Arena scratch_;
  double longest_piece_ns_ = 0;
  int64_t scratch_stride_ = 0;  // from thread to thread
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<Kernel*> outside_;  // those that touch what the caller gives
  std::vector<Node> main_;
  std::vector<Tensor> states_;           // by argument
  std::vector<Tensor> outside_results_;  // by result slot
  ThreadPool pool_;
  std::vector<std::optional<Error>> traps_;  // by thread
};

}  // namespace bcai::vm
