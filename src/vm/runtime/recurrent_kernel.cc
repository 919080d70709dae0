// SPDX-License-Identifier: Apache-2.0
// LSTM and GRU.
#include "vm/backend/cpu/recurrent.h"

#include "vm/isa/choices.h"
#include "vm/runtime/args_kernel.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// Not layouts of matmul's panels or of convolutions.
constexpr int kRecurrentLayout = 20'000'000;

void bind(RecurrentArgs& args, const Launch& launch, const Addresses& addresses) {
  const auto operand = [&](size_t i) {
    return i < launch.operands.size() ? addresses.floats(launch.operands[i]) : nullptr;
  };
  args.x = operand(0);
  if (!args.packed) {
    args.weight = operand(1);
    args.recurrence = operand(2);
  }
  args.bias = operand(3);
  args.first_hidden = operand(4);
  args.first_cell = operand(5);
  args.y = addresses.floats(launch.results[0]);
  args.last_hidden = addresses.floats(launch.results[1]);
  args.last_cell = launch.results.size() > 2 ? addresses.floats(launch.results[2]) : nullptr;
}

RecurrentCell cell_of(const Launch& launch) {
  if (launch.opcode == Opcode::kLSTM) return RecurrentCell::kLstm;
  return int_of(attributes_of(launch), Attr::kLinearBeforeReset) != 0
             ? RecurrentCell::kGruLinearBeforeReset
             : RecurrentCell::kGru;
}

}  // namespace

std::unique_ptr<Kernel> make_recurrent_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction ||
      (launch.opcode != Opcode::kLSTM && launch.opcode != Opcode::kGRU)) {
    return nullptr;
  }
  const Shape& x = launch.operands[0].type.shape;
  const Operand& weight = launch.operands[1];
  const Operand& recurrence = launch.operands[2];
  RecurrentArgs args;
  args.cell = cell_of(launch);
  args.steps = x[0].value();
  args.batch = x[1].value();
  args.inputs = x[2].value();
  args.hidden = recurrence.type.shape[2].value();
  args.directions = weight.type.shape[0].value();
  args.reverse = static_cast<Direction>(int_of(attributes_of(launch), Attr::kDirection)) ==
                 Direction::kReverse;
  for (const Operand& result : launch.results) {
    if (result.bytes() == 0) return nullptr;
  }
  const RecurrentKernels& kernels = recurrent_kernels(target.level);
  const auto fixed = [&](const Operand& operand) {
    const Storage storage = target.plan.buffers[operand.buffer].storage;
    return storage == Storage::kWeight || storage == Storage::kConstant;
  };
  if (args.inputs > 0 && fixed(weight) && fixed(recurrence)) {
    const int layout = kRecurrentLayout + static_cast<int>(args.cell);
    const auto packed = [&](const Operand& operand, int64_t inputs) {
      return target.packed.get(
          operand, layout, recurrent_packed_floats(args, inputs),
          [&](float* to) { kernels.pack(args, target.weights.floats(operand), inputs, to); });
    };
    args.weight = packed(weight, args.inputs);
    args.recurrence = packed(recurrence, args.hidden);
    args.packed = true;
  }
  return make_args_kernel<RecurrentArgs>(launch, args,
                                         {.run = kernels.run,
                                          .units = recurrent_units,
                                          .scratch_bytes = recurrent_scratch_bytes,
                                          .bind = bind,
                                          .looks = [](const RecurrentArgs& a) { return a.steps; }});
}

}  // namespace bcai::vm
