// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "vm/backend/cpu/matmul.h"
#include "vm/runtime/args_kernel.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// The floats from one matrix to the next along each of `rank` batch axes, 0 where it repeats.
std::vector<int64_t> batch_strides(const Shape& shape, size_t rank) {
  std::vector<int64_t> strides(rank, 0);
  int64_t stride = shape[shape.rank() - 2].value() * shape[shape.rank() - 1].value();
  for (size_t i = 0; i + 2 < shape.rank(); ++i) {
    const int64_t size = shape[shape.rank() - 3 - i].value();
    if (size != 1) strides[rank - 1 - i] = stride;
    stride *= size;
  }
  return strides;
}

// The batch axes, merged where one stride steps through two of them, outermost first.
std::vector<MatMulBatch> batches_of(const Shape& a, const Shape& b, const Shape& c) {
  const size_t rank = c.rank() - 2;
  const std::vector<int64_t> a_strides = batch_strides(a, rank);
  const std::vector<int64_t> b_strides = batch_strides(b, rank);
  const std::vector<int64_t> c_strides = batch_strides(c, rank);
  std::vector<MatMulBatch> batches;
  for (size_t axis = 0; axis < rank; ++axis) {
    const MatMulBatch next{c[axis].value(), a_strides[axis], b_strides[axis], c_strides[axis],
                           c_strides[axis]};
    if (next.size == 1) continue;
    const auto steps = [&](int64_t outer, int64_t inner) { return outer == inner * next.size; };
    if (!batches.empty() && steps(batches.back().a_stride, next.a_stride) &&
        steps(batches.back().b_stride, next.b_stride)) {
      const int64_t size = batches.back().size * next.size;
      batches.back() = next;
      batches.back().size = size;
    } else {
      batches.push_back(next);
    }
  }
  return batches;
}

std::optional<MatMulArgs> matmul_args_of(const Launch& launch) {
  const Shape& a = launch.operands[0].type.shape;
  const Shape& b = launch.operands[1].type.shape;
  const Shape& c = launch.results[0].type.shape;
  MatMulArgs args;
  args.rows = c[c.rank() - 2].value();
  args.columns = c[c.rank() - 1].value();
  args.a_stride = a[a.rank() - 1].value();
  args.b_stride = b[b.rank() - 1].value();
  args.c_stride = args.columns;
  const InstructionView view = attributes_of(launch);
  const bool transpose_a = int_of(view, Attr::kTransposeA) != 0;
  args.depth = a[a.rank() - (transpose_a ? 2 : 1)].value();
  args.a_layout = transpose_a ? MatrixLayout::kTransposed : MatrixLayout::kRows;
  args.b_layout =
      int_of(view, Attr::kTransposeB) != 0 ? MatrixLayout::kTransposed : MatrixLayout::kRows;
  args.epilogue.activation = activation_of(launch);
  args.epilogue.residual_stride = args.columns;
  args.epilogue.relu_last = launch.relu;
  std::vector<MatMulBatch> batches = batches_of(a, b, c);
  // The rows of all matrices of A are those of one matrix where B is the same for all.
  if (!transpose_a && !batches.empty() && batches.back().b_stride == 0 &&
      batches.back().a_stride == args.rows * args.depth) {
    args.rows *= batches.back().size;
    batches.pop_back();
  }
  if (batches.size() > kBatchRankMax) return std::nullopt;
  const size_t lead = kBatchRankMax - batches.size();
  for (size_t i = 0; i < batches.size(); ++i) args.batch[lead + i] = batches[i];
  return args;
}

void bind(MatMulArgs& args, const Launch& launch, const Addresses& addresses) {
  args.a = addresses.floats(launch.operands[0]);
  if (args.b_layout != MatrixLayout::kPacked) args.b = addresses.floats(launch.operands[1]);
  if (launch.operands.size() > 2) args.epilogue.bias = addresses.floats(launch.operands[2]);
  args.epilogue.residual = addresses.floats(launch.residual);
  args.c = addresses.floats(launch.results[0]);
}

}  // namespace

std::unique_ptr<Kernel> make_matmul_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction || launch.opcode != Opcode::kTensorMatMul) {
    return nullptr;
  }
  std::optional<MatMulArgs> args = matmul_args_of(launch);
  if (!args) return nullptr;
  const MatMulKernels& kernels = matmul_kernels(target.level);
  const Operand& b = launch.operands[1];
  const Storage storage = target.plan.buffers[b.buffer].storage;
  const bool fixed = storage == Storage::kWeight || storage == Storage::kConstant;
  const bool one_matrix = b.type.shape.elements(0, b.type.shape.rank() - 2) == Dim(1);
  if (fixed && one_matrix && b.type.shape.elements().value() > 0) {
    const auto pack = [&](float* panels) {
      kernels.pack(target.weights.floats(b), args->b_stride, args->b_layout, args->depth,
                   args->columns, panels);
    };
    args->b = target.packed.get(b, static_cast<int>(args->b_layout),
                                panel_floats(args->depth, args->columns), pack);
    args->b_layout = MatrixLayout::kPacked;
  }
  return make_args_kernel<MatMulArgs>(launch, *args,
                                      {.run = kernels.run,
                                       .units = matmul_units,
                                       .scratch_bytes = matmul_scratch_bytes,
                                       .bind = bind,
                                       .weights = [](const MatMulArgs& made) {
                                         return made.b_layout == MatrixLayout::kPacked ? made.b
                                                                                       : nullptr;
                                       }});
}

}  // namespace bcai::vm
