// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/instance.h"

#include <algorithm>
#include <cfenv>

#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// What a core does in a nanosecond, roughly: it decides who works and when the flag is looked at,
// never what comes out.
constexpr double kBytesPerNs = 8;
double flops_per_ns(SimdLevel level) {
  switch (level) {
    case SimdLevel::kAvx512: return 40;
    case SimdLevel::kAvx2: return 20;
    case SimdLevel::kPortable: return 0.7;
  }
  return 1;
}
// The reference backend goes element by element.
constexpr double kReferenceSlowdown = 100;
// Of a launch that has next to nothing to do.
constexpr double kLaunchNs = 100;
// The cancellation flag is looked at this often.
constexpr double kChunkNs = 4'000'000;

double estimated_ns(const Launch& launch, SimdLevel level) {
  return static_cast<double>(launch.flops) / flops_per_ns(level) +
         static_cast<double>(launch.bytes) / kBytesPerNs;
}

Error cancelled_error() { return error(ErrorCode::kCancelled, "the run was cancelled"); }

bool is_cancelled(const RunOptions& options) {
  return options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed);
}

// Round to nearest and keep denormals (rule R1), whatever the caller's thread had.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() {
    fegetenv(&before_);
    fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatingPoint() { fesetenv(&before_); }
  DefaultFloatingPoint(const DefaultFloatingPoint&) = delete;
  DefaultFloatingPoint& operator=(const DefaultFloatingPoint&) = delete;

 private:
  fenv_t before_;
};

}  // namespace

Instance::Instance(const Plan& plan, const Addresses& weights, const PrepareOptions& options)
    : plan_(plan),
      parallel_ns_min_(options.parallel_ns_min),
      addresses_(weights),
      pool_(std::max(options.threads, 1)),
      traps_(static_cast<size_t>(pool_.threads())) {}

Result<std::unique_ptr<Instance>> Instance::make(const Plan& plan, const Addresses& weights,
                                                 PackedWeights& packed, SimdLevel level,
                                                 const PrepareOptions& options) {
  std::unique_ptr<Instance> instance(new Instance(plan, weights, options));
  instance->main_ = instance->nodes_of(plan.main, {plan, level, packed, weights});
  if (packed.problem()) return *packed.problem();
  BCAI_TRY(instance->allocate());
  return instance;
}

std::vector<Instance::Node> Instance::nodes_of(const Sequence& sequence,
                                               const KernelTarget& target) {
  std::vector<Node> nodes;
  for (const Launch& launch : sequence) {
    Node node;
    node.launch = &launch;
    for (const Sequence& body : launch.bodies) node.bodies.push_back(nodes_of(body, target));
    if (launch.bodies.empty()) {
      kernels_.push_back(make_kernel(launch, target));
      node.kernel = kernels_.back().get();
      node.units = node.kernel->units();
      const double ns = estimated_ns(launch, target.level);
      node.ns = node.kernel->backend() == "cpu" ? ns : ns * kReferenceSlowdown;
      node.parallel =
          pool_.threads() > 1 && node.units > 1 && ns >= static_cast<double>(parallel_ns_min_);
      node.chunk = node.units;
      if (ns > kChunkNs) {
        const double part = kChunkNs / ns;
        node.chunk =
            std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(node.units) * part));
      }
      if (node.kernel->backend() == "cpu" && node.units > 0) {
        const double part = static_cast<double>(node.chunk) / static_cast<double>(node.units);
        const auto looks = static_cast<double>(std::max<int64_t>(node.kernel->looks(), 1));
        longest_piece_ns_ = std::max(longest_piece_ns_, ns * part / looks);
      }
      scratch_stride_ = std::max(scratch_stride_, node.kernel->scratch_bytes());
    }
    nodes.push_back(std::move(node));
  }
  // Each product brings the weights of the next one near, the last one those of the first.
  const auto has_weights = [](const Node& node) {
    return node.kernel != nullptr && node.kernel->weights() != nullptr;
  };
  const auto first = std::find_if(nodes.begin(), nodes.end(), has_weights);
  for (auto node = first; node != nodes.end();) {
    const auto next = std::find_if(node + 1, nodes.end(), has_weights);
    node->kernel->expect((next == nodes.end() ? first : next)->kernel->weights());
    node = next;
  }
  return nodes;
}

double Instance::longest_ns(const std::vector<Node>& nodes) {
  double all = 0;
  for (const Node& node : nodes) {
    double ns = node.ns + kLaunchNs;
    for (const std::vector<Node>& body : node.bodies) ns += longest_ns(body);
    const bool repeats = node.launch->kind == LaunchKind::kRepeat;
    all += repeats ? ns * static_cast<double>(node.launch->trip) : ns;
  }
  return all;
}

Result<void> Instance::allocate() {
  scratch_stride_ = (scratch_stride_ + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  BCAI_TRY_ASSIGN(arena_, Arena::make(plan_.arena_bytes));
  BCAI_TRY_ASSIGN(scratch_, Arena::make(scratch_stride_ * pool_.threads()));
  for (uint32_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& buffer = plan_.buffers[i];
    if (buffer.storage == Storage::kArena) addresses_.set(i, arena_.data() + buffer.offset);
  }
  reserve_places();
  const auto moves = [&](const Operand& operand) {
    if (!operand.present()) return false;
    const Storage storage = plan_.buffers[operand.buffer].storage;
    return storage == Storage::kInput || storage == Storage::kState || storage == Storage::kResult;
  };
  const auto visit = [&](const auto& self, const std::vector<Node>& nodes) -> void {
    for (const Node& node : nodes) {
      for (const std::vector<Node>& body : node.bodies) self(self, body);
      const Launch& launch = *node.launch;
      if (node.kernel == nullptr) {
        for (const Operand& predicate : launch.operands) addresses_.of(predicate);
        continue;
      }
      const bool outside = std::any_of(launch.operands.begin(), launch.operands.end(), moves) ||
                           std::any_of(launch.results.begin(), launch.results.end(), moves) ||
                           moves(launch.residual);
      if (outside) outside_.push_back(node.kernel);
      node.kernel->bind(addresses_);
    }
  };
  visit(visit, main_);
  return {};
}

// Places that are apart, for what run() knows the place of: kernels can be bound, not run.
void Instance::reserve_places() {
  uintptr_t next = uintptr_t{1} << 20;
  for (uint32_t i = 0; i < plan_.buffers.size(); ++i) {
    if (addresses_.is_set(i)) continue;
    addresses_.set(i, reinterpret_cast<std::byte*>(next));
    next += static_cast<uintptr_t>(plan_.buffers[i].bytes / kBufferAlignment + 2) *
            uintptr_t{kBufferAlignment};
  }
}

Footprint Instance::footprint() const {
  Footprint footprint{.arena = arena_.bytes(), .scratch = scratch_.bytes()};
  for (uint32_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& buffer = plan_.buffers[i];
    switch (buffer.storage) {
      case Storage::kArena:
      case Storage::kConstant: break;
      case Storage::kInput: footprint.inputs += buffer.bytes; break;
      case Storage::kState: footprint.inputs += 2 * buffer.bytes; break;
      case Storage::kWeight: footprint.weights += reads(i) ? buffer.bytes : 0; break;
      case Storage::kResult: footprint.results += buffer.bytes; break;
    }
  }
  return footprint;
}

void Instance::place_outside(std::span<const Tensor> inputs, const RunOptions& options) {
  states_.resize(inputs.size());
  outside_results_.resize(plan_.results.size() + plan_.checkpoints.size());
  for (uint32_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& buffer = plan_.buffers[i];
    if (buffer.storage == Storage::kInput) {
      Tensor input = inputs[buffer.index];
      addresses_.set(i, input.bytes().data());
    } else if (buffer.storage == Storage::kState) {
      const Tensor& input = inputs[buffer.index];
      states_[buffer.index] = options.states_in_place ? input : input.copy();
      addresses_.set(i, states_[buffer.index].bytes().data());
    } else if (buffer.storage == Storage::kResult) {
      const size_t slot = buffer.index;
      const Operand& operand = slot < plan_.results.size()
                                   ? plan_.results[slot]
                                   : plan_.checkpoints[slot - plan_.results.size()];
      outside_results_[slot] = Tensor::unwritten(operand.type.dtype, dims_of(operand.type.shape));
      addresses_.set(i, outside_results_[slot].bytes().data());
    }
  }
  for (Kernel* kernel : outside_) kernel->bind(addresses_);
}

Tensor Instance::tensor_of(const Operand& operand, bool checkpoint) const {
  const Buffer& buffer = plan_.buffers[operand.buffer];
  if (buffer.storage == Storage::kState) {
    const Tensor& state = states_[buffer.index];
    return checkpoint ? state.copy() : state.reshaped(dims_of(operand.type.shape));
  }
  return outside_results_[buffer.index];
}

Result<std::vector<Tensor>> Instance::run(std::span<const Tensor> inputs,
                                          const RunOptions& options) {
  const DefaultFloatingPoint floating_point;
  place_outside(inputs, options);
  Result<void> outcome = run_nodes(main_, options);
  std::vector<Tensor> results;
  if (outcome) {
    for (const Operand& operand : plan_.results) results.push_back(tensor_of(operand, false));
    if (options.checkpoints != nullptr) {
      options.checkpoints->clear();
      for (const Operand& operand : plan_.checkpoints) {
        options.checkpoints->push_back(tensor_of(operand, true));
      }
    }
  }
  // The caller's tensors are not kept alive until the next run.
  states_.clear();
  outside_results_.clear();
  BCAI_TRY(std::move(outcome));
  return results;
}

Result<void> Instance::run_nodes(const std::vector<Node>& nodes, const RunOptions& options) {
  for (const Node& node : nodes) {
    if (is_cancelled(options)) return cancelled_error();
    if (node.kernel == nullptr) {
      if (node.launch->kind == LaunchKind::kRepeat) {
        BCAI_TRY(run_repeat(node, options));
      } else {
        BCAI_TRY(run_nodes(node.bodies[holds(node.launch->operands[0]) ? 0 : 1], options));
      }
    } else if (options.profile != nullptr) {
      const int64_t begin = monotonic_ns();
      BCAI_TRY(run_kernel(node, options));
      options.profile->add(*node.launch, begin, monotonic_ns());
    } else {
      BCAI_TRY(run_kernel(node, options));
    }
  }
  return {};
}

Result<void> Instance::run_repeat(const Node& node, const RunOptions& options) {
  for (int64_t turn = 0; turn < node.launch->trip; ++turn) {
    if (is_cancelled(options)) return cancelled_error();
    BCAI_TRY(run_nodes(node.bodies[0], options));
    if (node.launch->until && holds(node.launch->operands[0])) break;
  }
  return {};
}

Result<void> Instance::run_kernel(const Node& node, const RunOptions& options) {
  if (node.kernel->looks() == 1) return run_units(node, options);
  node.kernel->watch(options.cancelled);
  BCAI_TRY(run_units(node, options));
  // It may have left something undone.
  if (is_cancelled(options)) return cancelled_error();
  return {};
}

Result<void> Instance::run_units(const Node& node, const RunOptions& options) {
  if (!node.parallel) {
    for (int64_t begin = 0; begin < node.units; begin += node.chunk) {
      if (begin > 0 && is_cancelled(options)) return cancelled_error();
      const int64_t end = std::min(node.units, begin + node.chunk);
      BCAI_TRY(node.kernel->run(begin, end, scratch_.data()));
    }
    return {};
  }
  const auto work = [&](int64_t begin, int64_t end, int thread) {
    std::optional<Error>& trap = traps_[static_cast<size_t>(thread)];
    if (trap) return;
    Result<void> done = node.kernel->run(begin, end, scratch_.data() + thread * scratch_stride_);
    if (!done) trap = std::move(done).error();
  };
  const bool whole = pool_.run(node.units, work, node.chunk, options.cancelled);
  // A thread has the units before those of the next, so the first trap is that of the lowest unit.
  Result<void> outcome;
  for (std::optional<Error>& trap : traps_) {
    if (trap && outcome) outcome = std::move(*trap);
    trap.reset();
  }
  if (!outcome) return outcome;
  if (!whole) return cancelled_error();
  return {};
}

bool Instance::holds(const Operand& predicate) const {
  return *addresses_.of(predicate) != std::byte{0};
}

std::vector<std::string_view> Instance::backends() const {
  std::vector<std::string_view> names;
  const auto visit = [&](const auto& self, const std::vector<Node>& nodes) -> void {
    for (const Node& node : nodes) {
      names.push_back(node.kernel != nullptr ? node.kernel->backend() : "");
      for (const std::vector<Node>& body : node.bodies) self(self, body);
    }
  };
  visit(visit, main_);
  return names;
}

}  // namespace bcai::vm
