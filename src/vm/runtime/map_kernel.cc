// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vm/backend/cpu/map.h"
#include "vm/runtime/kernel.h"
#include "vm/runtime/map_codes.h"

namespace bcai::vm {
namespace {

constexpr uint32_t kFirstFreeSlot = kMapInputsMax;

// A map's steps as the interpreter's operations, each result in a slot that is free by then.
class Slots {
 public:
  explicit Slots(const Launch& launch) : launch_(launch) {
    const size_t values = launch.operands.size() + launch.steps.size();
    last_use_.assign(values, 0);
    slot_.assign(values, 0);
    for (size_t i = 0; i < launch.operands.size(); ++i) slot_[i] = static_cast<uint8_t>(i);
    for (size_t i = 0; i < launch.steps.size(); ++i) {
      for (const uint32_t operand : launch.steps[i].operands) last_use_[operand] = i;
    }
    // An output has a slot to itself.
    for (size_t i = 0; i < launch.outputs.size(); ++i) {
      last_use_[launch.outputs[i]] = SIZE_MAX;
      slot_[launch.outputs[i]] = static_cast<uint8_t>(kFirstFreeSlot + i);
    }
    for (size_t slot = kMapSlotsMax; slot-- > kFirstFreeSlot + launch.outputs.size();) {
      free_.push_back(static_cast<uint8_t>(slot));
    }
  }

  std::vector<MapOp> assign() {
    const size_t inputs = launch_.operands.size();
    for (size_t i = 0; i < launch_.steps.size(); ++i) {
      const MapStep& step = launch_.steps[i];
      std::vector<uint8_t> from;
      for (const uint32_t operand : step.operands) from.push_back(slot_[operand]);
      if (last_use_[inputs + i] != SIZE_MAX) {
        BCAI_ASSERT(!free_.empty());
        slot_[inputs + i] = free_.back();
        free_.pop_back();
      }
      ops_.push_back(map_op_of(step, slot_[inputs + i], from));
      for (size_t value = inputs; value < inputs + i; ++value) {
        if (last_use_[value] == i) release(value);
      }
    }
    return std::move(ops_);
  }

  uint8_t slot_of(uint32_t value) const { return slot_[value]; }

 private:
  void release(size_t value) {
    free_.push_back(slot_[value]);
    last_use_[value] = SIZE_MAX;
  }

  const Launch& launch_;
  std::vector<size_t> last_use_;
  std::vector<uint8_t> slot_;
  std::vector<uint8_t> free_;
  std::vector<MapOp> ops_;
};

// A Select of f32 alone moves bits, as the instruction does: it must not touch a NaN.
bool moves_bits(const Launch& launch) {
  return launch.steps.size() == 1 && launch.steps[0].opcode == Opcode::kSelect &&
         launch.steps[0].dtype == DType::kF32;
}

class MapKernel : public Kernel {
 public:
  MapKernel(const Launch& launch, SimdLevel level) : launch_(launch), run_(map_kernels(level).run) {
    Slots slots(launch);
    ops_ = slots.assign();
    const bool as_bits = moves_bits(launch);
    if (as_bits) ops_[0].code = MapCode::kSelectInt;
    const auto type_of = [&](DType dtype) {
      return as_bits && dtype == DType::kF32 ? MapType::kI32 : map_type_of(dtype);
    };
    const Shape& shape = launch.results[0].type.shape;
    for (const Operand& operand : launch.operands) {
      const Broadcasting how = *broadcasting_of(operand.type.shape, shape);
      inputs_.push_back({nullptr, type_of(operand.type.dtype),
                         static_cast<MapExtent>(how.repetition), std::max<int64_t>(how.period, 1)});
    }
    for (size_t i = 0; i < launch.results.size(); ++i) {
      outputs_.push_back(
          {nullptr, slots.slot_of(launch.outputs[i]), type_of(launch.results[i].type.dtype)});
    }
    args_ = {inputs_, outputs_, ops_, shape.elements().value()};
  }

  void bind(const Addresses& addresses) override {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      inputs_[i].data = addresses.of(launch_.operands[i]);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].data = addresses.of(launch_.results[i]);
    }
    if (args_.n == 0) return;
    const Result<void> checked = map_check(args_);
    if (!checked) fmt::print(stderr, "{} {}\n", launch_name(launch_), checked.error().message);
    BCAI_ASSERT(checked.has_value());
  }
  int64_t units() const override { return map_units(args_); }
  int64_t scratch_bytes() const override { return map_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  std::vector<MapInput> inputs_;
  std::vector<MapOutput> outputs_;
  std::vector<MapOp> ops_;
  MapArgs args_{};
  void (*run_)(const MapArgs&, int64_t, int64_t, std::byte*);
};

}  // namespace

static_assert(static_cast<int>(Repetition::kWhole) == static_cast<int>(MapExtent::kWhole) &&
              static_cast<int>(Repetition::kScalar) == static_cast<int>(MapExtent::kScalar) &&
              static_cast<int>(Repetition::kRow) == static_cast<int>(MapExtent::kRow) &&
              static_cast<int>(Repetition::kColumn) == static_cast<int>(MapExtent::kColumn));

std::unique_ptr<Kernel> make_map_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kMap) return nullptr;
  return std::make_unique<MapKernel>(launch, target.level);
}

}  // namespace bcai::vm
