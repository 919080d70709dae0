// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/map.h"

#include <string_view>

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(MapKernels, kMapKernels)

const MapKernels& map_kernels(SimdLevel level) { return BCAI_OF_SIMD_LEVEL(level, kMapKernels); }

int64_t map_units(const MapArgs& args) { return (args.n + kMapTile - 1) / kMapTile; }

int64_t map_scratch_bytes(const MapArgs& args) {
  int slots = kMapInputsMax;
  for (const auto& op : args.ops) slots = op.result >= slots ? op.result + 1 : slots;
  return slots * kMapTile * static_cast<int64_t>(sizeof(float));
}

namespace {

struct Signature {
  std::string_view name;
  std::string_view types;  // Of the result and the operands.
};

constexpr Signature kSignatures[] = {
#define MAP_OP(name, signature, value) {#name, #signature},
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
};

using SlotTypes = std::array<char, kMapSlotsMax>;  // 'F', 'I', or 0 where nothing is.

char slot_type(MapType type) { return type == MapType::kF32 ? 'F' : 'I'; }

Result<void> check_op(const MapOp& op, SlotTypes& slots) {
  const auto& [name, types] = kSignatures[static_cast<size_t>(op.code)];
  const uint8_t operands[] = {op.a, op.b, op.c};
  for (size_t k = 0; k < std::size(operands); ++k) {
    if (operands[k] >= kMapSlotsMax) {
      return error(ErrorCode::kInvalidArgument, "map: {}: operand {}, slot {}, expected at most {}",
                   name, k, operands[k], kMapSlotsMax - 1);
    }
    if (k + 1 < types.size() && slots[operands[k]] != types[k + 1]) {
      return error(ErrorCode::kInvalidArgument, "map: {}: operand {}, slot {}, holds no {}", name,
                   k, operands[k], types[k + 1] == 'F' ? "f32" : "i32");
    }
  }
  if (op.result < kMapInputsMax || op.result >= kMapSlotsMax) {
    return error(ErrorCode::kInvalidArgument, "map: {}: result slot {}, expected {} to {}", name,
                 op.result, kMapInputsMax, kMapSlotsMax - 1);
  }
  slots[op.result] = types[0];
  return {};
}

bool reads(const MapOp& op, size_t slot) {
  const size_t operands = kSignatures[static_cast<size_t>(op.code)].types.size() - 1;
  return op.a == slot || (operands > 1 && op.b == slot) || (operands > 2 && op.c == slot);
}

Result<void> check_output(const MapArgs& args, const MapOutput& output, const SlotTypes& slots) {
  if (output.slot < kMapInputsMax || output.slot >= kMapSlotsMax ||
      slots[output.slot] != slot_type(output.type)) {
    return error(ErrorCode::kInvalidArgument, "map: output slot {} holds no value of its type",
                 output.slot);
  }
  size_t writer = args.ops.size();
  for (size_t k = 0; k < args.ops.size(); ++k) {
    if (args.ops[k].result != output.slot) continue;
    if (writer != args.ops.size()) {
      return error(ErrorCode::kInvalidArgument, "map: output slot {} is written twice",
                   output.slot);
    }
    writer = k;
  }
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    const auto& input = args.inputs[i];
    if (input.data != output.data) continue;
    bool late = input.extent != MapExtent::kWhole || input.type != output.type;
    for (size_t k = writer + 1; k < args.ops.size(); ++k) late = late || reads(args.ops[k], i);
    if (late) {
      return error(ErrorCode::kInvalidArgument,
                   "map: output slot {} overwrites input {} while it is needed", output.slot, i);
    }
  }
  return {};
}

}  // namespace

Result<void> map_check(const MapArgs& args) {
  if (args.inputs.size() > kMapInputsMax || args.outputs.size() > kMapOutputsMax ||
      args.ops.size() > kMapOpsMax || args.n < 0) {
    return error(ErrorCode::kInvalidArgument,
                 "map: {} inputs, {} outputs, {} operations; at most {}, {}, {}",
                 args.inputs.size(), args.outputs.size(), args.ops.size(), kMapInputsMax,
                 kMapOutputsMax, kMapOpsMax);
  }
  SlotTypes slots{};
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    slots[i] = slot_type(args.inputs[i].type);
    if (args.inputs[i].period < 1) {
      return error(ErrorCode::kInvalidArgument, "map: input {}: period {}, expected at least 1", i,
                   args.inputs[i].period);
    }
  }
  for (const auto& op : args.ops) BCAI_TRY(check_op(op, slots));
  for (const auto& output : args.outputs) BCAI_TRY(check_output(args, output, slots));
  return {};
}

}  // namespace bcai::vm
