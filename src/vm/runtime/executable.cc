// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/executable.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>

#include "vm/backend/reference/convert.h"
#include "vm/runtime/instance.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {

struct Executable::Parts {
  Parts(Plan compiled, const PrepareOptions& given)
      : plan(std::move(compiled)),
        options(given),
        level(given.level.value_or(detect_simd_level())),
        addresses(plan.buffers.size()),
        packed(plan, level, given.packed_directory, given.on_packed) {}

  Result<std::unique_ptr<Instance>> make_instance() {
    return Instance::make(plan, addresses, packed, level, options);
  }

  Plan plan;
  PrepareOptions options;
  SimdLevel level;
  std::vector<Tensor> weights;  // what `addresses` points to
  Addresses addresses;
  PackedWeights packed;
  std::vector<std::string_view> backends;
  Footprint footprint;
  double longest_piece_ns = 0;
  double longest_run_ns = 0;
  std::mutex mutex;  // of what follows, and of making instances
  std::vector<std::unique_ptr<Instance>> idle;
};

namespace {

// A smaller weight is copied: reading one from its file brings in whatever lies around it.
constexpr int64_t kCopiedBytesMost = 64 << 10;

// Parameters by file and name, as the program that was bound lists them.
using StoredParams = std::map<std::pair<uint32_t, std::string_view>, const Param*>;

StoredParams stored_params(const Program& program) {
  StoredParams stored;
  for (const Param& param : program.params) stored[{param.file, param.name}] = &param;
  return stored;
}

// `param` as the plan has it: perhaps wider than `stored` (widen_params).
Result<Tensor> load(const WeightFile& file, const Param& stored, const Param& param,
                    const ParamSource& weights) {
  BCAI_TRY_ASSIGN(Tensor tensor, weights(file, stored));
  if (!(tensor.type() == stored.type)) {
    return error(ErrorCode::kInvalidArgument, "weight '{}' is {}, expected {}", param.name,
                 to_text(tensor.type(), {}), to_text(stored.type, {}));
  }
  if (!(param.type == stored.type)) return reference::widened(tensor);
  return tensor.byte_count() <= kCopiedBytesMost ? tensor.copy() : tensor;
}

// Brings a weight that runs read as it is into memory, so that no run waits for it.
void touch(const Tensor& tensor) {
  constexpr size_t kPage = 4096;
  const auto bytes = tensor.bytes();
  for (size_t at = 0; at < bytes.size(); at += kPage) {
    const volatile std::byte* byte = &bytes[at];
    static_cast<void>(*byte);
  }
}

// The plan takes a state that is rewritten to share no byte with another input.
Result<void> check_apart(const Function& main, std::span<const Tensor> inputs) {
  const auto is_state = [&](size_t i) { return main.values[main.body.arguments[i]].is_state; };
  const auto begin = [&](size_t i) { return inputs[i].bytes().data(); };
  const auto end = [&](size_t i) { return begin(i) + inputs[i].bytes().size(); };
  std::vector<size_t> order;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].bytes().empty()) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::less<>()(begin(a), begin(b)); });
  std::vector<std::string> wrong;
  std::optional<size_t> input, state;  // of those before, what ends last
  for (const size_t i : order) {
    const std::optional<size_t> before = is_state(i) ? input : state;
    if (before && std::less<>()(begin(i), end(*before))) {
      wrong.push_back(
          fmt::format("'{}' and '{}'", main.argument_names[*before], main.argument_names[i]));
    }
    if (!input || std::less<>()(end(*input), end(i))) input = i;
    if (is_state(i) && (!state || std::less<>()(end(*state), end(i)))) state = i;
  }
  if (wrong.empty()) return {};
  return error(ErrorCode::kInvalidArgument,
               "states are rewritten in place and must lie apart from the other inputs; {} overlap",
               fmt::join(wrong, ", "));
}

}  // namespace

Result<std::shared_ptr<const Executable>> prepare(const BoundProgram& program,
                                                  const ParamSource& weights,
                                                  const PrepareOptions& options) {
  BCAI_TRY_ASSIGN(Plan plan, compile(program, options.compile));
  auto parts = std::make_unique<Executable::Parts>(std::move(plan), options);
  const Program& compiled = parts->plan.program;
  const StoredParams stored = stored_params(program.program());
  std::map<uint32_t, size_t> weight_of;  // by buffer: index into parts->weights
  for (uint32_t i = 0; i < parts->plan.buffers.size(); ++i) {
    const Buffer& buffer = parts->plan.buffers[i];
    Tensor tensor;
    if (buffer.storage == Storage::kWeight) {
      const Param& param = compiled.params[buffer.index];
      BCAI_TRY_ASSIGN(tensor, load(compiled.files[param.file], *stored.at({param.file, param.name}),
                                   param, weights));
    } else if (buffer.storage == Storage::kConstant) {
      const Constant& constant = compiled.constants[buffer.index];
      tensor = Tensor::copy_of(constant.type, constant.bytes);
    } else {
      continue;
    }
    parts->addresses.set(i, tensor.bytes().data());
    if (buffer.storage == Storage::kWeight) weight_of[i] = parts->weights.size();
    parts->weights.push_back(std::move(tensor));
  }
  // The first instance packs the weights, and is there for the first run.
  BCAI_TRY_ASSIGN(std::unique_ptr<Instance> instance, parts->make_instance());
  parts->backends = instance->backends();
  parts->footprint = instance->footprint();
  parts->footprint.packed = parts->packed.bytes();
  if (options.on_packed) options.on_packed();
  for (const auto& [buffer, weight] : weight_of) {
    if (instance->reads(buffer)) {
      touch(parts->weights[weight]);
    } else {
      parts->weights[weight] = Tensor();  // packed; what was widened for it goes
    }
  }
  parts->longest_piece_ns = instance->longest_piece_ns();
  parts->longest_run_ns = instance->longest_run_ns();
  parts->idle.push_back(std::move(instance));
  return std::shared_ptr<const Executable>(new Executable(std::move(parts)));
}

Executable::Executable(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Executable::~Executable() = default;

const Plan& Executable::plan() const { return parts_->plan; }
Footprint Executable::footprint() const { return parts_->footprint; }
int64_t Executable::packed_found_bytes() const { return parts_->packed.found_bytes(); }

Result<std::vector<Tensor>> Executable::run(std::span<const Tensor> inputs,
                                            const RunOptions& options) const {
  const Function& main = parts_->plan.program.functions[0];
  BCAI_TRY(check_arguments(main, types_of(inputs)));
  if (options.states_in_place) BCAI_TRY(check_apart(main, inputs));
  if (options.checkpoints != nullptr && !parts_->options.compile.checkpoints) {
    return error(ErrorCode::kFailedPrecondition, "prepared for runs without checkpoints");
  }
  std::unique_ptr<Instance> instance;
  {
    const std::lock_guard lock(parts_->mutex);
    if (!parts_->idle.empty()) {
      instance = std::move(parts_->idle.back());
      parts_->idle.pop_back();
    } else {
      BCAI_TRY_ASSIGN(instance, parts_->make_instance());
    }
  }
  Result<std::vector<Tensor>> results = instance->run(inputs, options);
  const std::lock_guard lock(parts_->mutex);
  parts_->idle.push_back(std::move(instance));
  return results;
}

namespace {

struct Tally {
  uint64_t launches = 0;
  uint64_t flops = 0;
};

void count(const Sequence& sequence, const std::vector<std::string_view>& backends, size_t& next,
           std::map<std::string, Tally>& tallies) {
  for (const Launch& launch : sequence) {
    const std::string_view backend = backends[next++];
    if (launch.bodies.empty()) {
      const std::string_view kind = launch.kind == LaunchKind::kInstruction
                                        ? info_of(launch.opcode).name
                                    : launch.kind == LaunchKind::kMap ? "map"
                                                                      : "copy";
      Tally& tally = tallies[fmt::format("{:<10} {}", backend, kind)];
      ++tally.launches;
      tally.flops += launch.flops;
    }
    for (const Sequence& body : launch.bodies) count(body, backends, next, tallies);
  }
}

}  // namespace

double Executable::longest_piece_ns() const { return parts_->longest_piece_ns; }
double Executable::longest_run_ns() const { return parts_->longest_run_ns; }

std::string Executable::explain() const {
  std::string out = vm::explain(parts_->plan);
  std::map<std::string, Tally> tallies;
  size_t next = 0;
  count(parts_->plan.main, parts_->backends, next, tallies);
  fmt::format_to(std::back_inserter(out),
                 "SIMD level {}, {} threads, scratch {} bytes, packed weights {} bytes, {} found\n"
                 "{:>8} {:>14}  backend    kernel\n",
                 simd_level_name(parts_->level), parts_->options.threads, parts_->footprint.scratch,
                 parts_->packed.bytes(), parts_->packed.found_bytes(), "launches", "flops");
  for (const auto& [name, tally] : tallies) {
    fmt::format_to(std::back_inserter(out), "{:>8} {:>14}  {}\n", tally.launches, tally.flops,
                   name);
  }
  return out;
}

}  // namespace bcai::vm
