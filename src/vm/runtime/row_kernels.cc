// SPDX-License-Identifier: Apache-2.0
// Softmax, normalisations, rotations of heads and the reductions of f32.
#include <algorithm>
#include <optional>

#include "vm/backend/cpu/norm.h"
#include "vm/backend/cpu/reduction.h"
#include "vm/backend/cpu/rotary.h"
#include "vm/backend/cpu/softmax.h"
#include "vm/runtime/args_kernel.h"

namespace bcai::vm {
namespace {

std::unique_ptr<Kernel> make_softmax_kernel(const Launch& launch, SimdLevel level) {
  const Shape& shape = launch.operands[0].type.shape;
  const auto axis = static_cast<size_t>(int_of(attributes_of(launch), Attr::kAxis));
  SoftmaxArgs args{};
  args.outer = count(shape, 0, axis);
  args.n = shape[axis].value();
  args.inner = count(shape, axis + 1, shape.rank());
  args.log = int_of(attributes_of(launch), Attr::kLog) != 0;
  return make_args_kernel<SoftmaxArgs>(
      launch, args,
      {.run = softmax_kernels(level).run,
       .units = softmax_units,
       .scratch_bytes = softmax_scratch_bytes,
       .bind = [](SoftmaxArgs& bound, const Launch& at, const Addresses& addresses) {
         bound.x = addresses.floats(at.operands[0]);
         bound.y = addresses.floats(at.results[0]);
       }});
}

std::unique_ptr<Kernel> make_norm_kernel(const Launch& launch, SimdLevel level) {
  const Shape& shape = launch.operands[0].type.shape;
  NormArgs args{};
  args.rows = count(shape, 0, shape.rank() - 1);
  args.n = shape[shape.rank() - 1].value();
  args.epsilon = float_of(attributes_of(launch), Attr::kEpsilon);
  const NormKernels& kernels = norm_kernels(level);
  return make_args_kernel<NormArgs>(
      launch, args,
      {.run = launch.opcode == Opcode::kLayerNorm ? kernels.layer_norm : kernels.rms_norm,
       .units = norm_units,
       .scratch_bytes = norm_scratch_bytes,
       .bind = [](NormArgs& bound, const Launch& at, const Addresses& addresses) {
         const std::vector<Operand>& operands = at.operands;
         bound.x = addresses.floats(operands[0]);
         bound.residual = addresses.floats(at.residual);
         bound.gamma = operands.size() > 1 ? addresses.floats(operands[1]) : nullptr;
         bound.beta = operands.size() > 2 ? addresses.floats(operands[2]) : nullptr;
         bound.y = addresses.floats(at.results[0]);
       }});
}

std::unique_ptr<Kernel> make_channel_norm_kernel(const Launch& launch, SimdLevel level) {
  const bool group = launch.opcode == Opcode::kGroupNorm;
  const Shape& shape = launch.operands[0].type.shape;
  ChannelNormArgs args{};
  if (launch.channels_last) {
    args.batch = count(shape, 0, shape.rank() - 1);
    args.channels = shape[shape.rank() - 1].value();
    args.inner = 1;
  } else {
    args.batch = shape[0].value();
    args.channels = shape[1].value();
    args.inner = count(shape, 2, shape.rank());
  }
  if (args.batch * args.channels * args.inner == 0) return nullptr;
  args.groups = group ? int_of(attributes_of(launch), Attr::kGroups) : 1;
  args.epsilon = float_of(attributes_of(launch), Attr::kEpsilon);
  const NormKernels& kernels = norm_kernels(level);
  return make_args_kernel<ChannelNormArgs>(
      launch, args,
      {.run = group ? kernels.group_norm : kernels.batch_norm,
       .units = group ? group_norm_units : batch_norm_units,
       .scratch_bytes = channel_norm_scratch_bytes,
       .bind = [](ChannelNormArgs& bound, const Launch& at, const Addresses& addresses) {
         const std::vector<Operand>& operands = at.operands;
         bound.x = addresses.floats(operands[0]);
         bound.gamma = addresses.floats(operands[1]);
         bound.beta = addresses.floats(operands[2]);
         bound.mean = operands.size() > 3 ? addresses.floats(operands[3]) : nullptr;
         bound.variance = operands.size() > 4 ? addresses.floats(operands[4]) : nullptr;
         bound.y = addresses.floats(at.results[0]);
       }});
}

std::unique_ptr<Kernel> make_rotary_kernel(const Launch& launch, SimdLevel level) {
  const Shape& x = launch.operands[0].type.shape;
  const Shape& cosine = launch.operands[1].type.shape;
  RotaryArgs args;
  args.rows = count(x, 0, 2);
  args.angles = std::max<int64_t>(count(cosine, 0, cosine.rank() - 1), 1);
  args.heads = int_of(attributes_of(launch), Attr::kHeads);
  args.size = x[2].value() / args.heads;
  args.pairs = cosine[cosine.rank() - 1].value();
  args.interleaved = int_of(attributes_of(launch), Attr::kInterleaved) != 0;
  return make_args_kernel<RotaryArgs>(
      launch, args,
      {.run = rotary_kernels(level).run,
       .units = rotary_units,
       .scratch_bytes = rotary_scratch_bytes,
       .bind = [](RotaryArgs& bound, const Launch& at, const Addresses& addresses) {
         bound.x = addresses.floats(at.operands[0]);
         bound.cosine = addresses.floats(at.operands[1]);
         bound.sine = addresses.floats(at.operands[2]);
         bound.y = addresses.floats(at.results[0]);
       }});
}

std::optional<ReductionKind> reduction_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::kReduceSum: return ReductionKind::kSum;
    case Opcode::kReduceMean: return ReductionKind::kMean;
    case Opcode::kReduceProd: return ReductionKind::kProduct;
    case Opcode::kReduceMax: return ReductionKind::kMax;
    case Opcode::kReduceMin: return ReductionKind::kMin;
    case Opcode::kArgMax: return ReductionKind::kArgMax;
    default: return std::nullopt;
  }
}

std::unique_ptr<Kernel> make_reduction_kernel(const Launch& launch, SimdLevel level) {
  const std::optional<ReductionKind> kind = reduction_of(launch.opcode);
  const Type& x = launch.operands[0].type;
  if (!kind || x.dtype != DType::kF32) return nullptr;
  const InstructionView view = attributes_of(launch);
  std::vector<int64_t> dims;
  for (const Dim& dim : x.shape.dims()) dims.push_back(dim.value());
  std::vector<int> axes;
  if (kind == ReductionKind::kArgMax) {
    if (int_of(view, Attr::kSelect) != 0) return nullptr;
    axes.push_back(static_cast<int>(int_of(view, Attr::kAxis)));
  } else {
    for (const int64_t axis : ints_of(view, Attr::kAxes)) axes.push_back(static_cast<int>(axis));
  }
  if (axes.empty()) return nullptr;
  const Result<ReductionArgs> args = reduction_args(*kind, nullptr, nullptr, dims, axes);
  if (!args) return nullptr;
  return make_args_kernel<ReductionArgs>(
      launch, *args,
      {.run = reduction_kernels(level).run,
       .units = reduction_units,
       .scratch_bytes = reduction_scratch_bytes,
       .bind = [](ReductionArgs& bound, const Launch& at, const Addresses& addresses) {
         bound.x = addresses.floats(at.operands[0]);
         bound.y = addresses.of(at.results[0]);
       }});
}

}  // namespace

std::unique_ptr<Kernel> make_row_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction) return nullptr;
  switch (launch.opcode) {
    case Opcode::kSoftmax: return make_softmax_kernel(launch, target.level);
    case Opcode::kLayerNorm:
    case Opcode::kRMSNorm: return make_norm_kernel(launch, target.level);
    case Opcode::kGroupNorm:
    case Opcode::kBatchNormInfer: return make_channel_norm_kernel(launch, target.level);
    case Opcode::kRotaryEmbed: return make_rotary_kernel(launch, target.level);
    case Opcode::kReduceSum:
    case Opcode::kReduceMean:
    case Opcode::kReduceProd:
    case Opcode::kReduceMax:
    case Opcode::kReduceMin:
    case Opcode::kArgMax: return make_reduction_kernel(launch, target.level);
    default: return nullptr;
  }
}

}  // namespace bcai::vm
