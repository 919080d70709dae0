// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/reduction.h"

#include "vm/numerics/reduce_block.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ReductionKernels, kReductionKernels)

const ReductionKernels& reduction_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kReductionKernels);
}

int64_t reduction_units(const ReductionArgs& args) {
  int64_t units = 1;
  for (int k = 0; k < args.kept_rank; ++k) units *= args.kept[k].size;
  return units;
}

int64_t reduction_scratch_bytes(const ReductionArgs&) {
  return kReduceBlock * static_cast<int64_t>(sizeof(float));
}

namespace {

// Puts an axis before those that are there, into the first of them if they are one run of memory.
void prepend(ReductionAxis axis, bool joins, ReductionAxis* axes, int& rank) {
  if (joins && rank > 0) {
    axes[0].size *= axis.size;
    return;
  }
  for (int k = rank; k > 0; --k) axes[k] = axes[k - 1];
  axes[0] = axis;
  ++rank;
}

}  // namespace

Result<ReductionArgs> reduction_args(ReductionKind kind, const float* x, void* y,
                                     std::span<const int64_t> dims, std::span<const int> axes) {
  if (dims.size() > kReductionRankMax) {
    return error(ErrorCode::kInvalidArgument, "reduce: {} dimensions, at most {}", dims.size(),
                 kReductionRankMax);
  }
  bool is_reduced[kReductionRankMax] = {};
  int before = -1;
  for (int axis : axes) {
    if (axis <= before || axis >= static_cast<int>(dims.size())) {
      return error(ErrorCode::kInvalidArgument, "reduce: axis {}, expected {} to {}", axis,
                   before + 1, static_cast<int>(dims.size()) - 1);
    }
    is_reduced[axis] = true;
    before = axis;
  }
  ReductionArgs args{
      .kind = kind, .x = x, .y = y, .kept_rank = 0, .reduced_rank = 0, .kept = {}, .reduced = {}};
  int64_t stride = 1;
  bool inner_reduced = false;
  for (size_t d = dims.size(); d-- > 0;) {
    if (is_reduced[d] && dims[d] < 1) {
      return error(ErrorCode::kInvalidArgument, "reduce: axis {} is empty", d);
    }
    if (dims[d] == 1) continue;
    const bool joins = stride > 1 && inner_reduced == is_reduced[d];
    if (is_reduced[d]) {
      prepend({dims[d], stride}, joins, args.reduced, args.reduced_rank);
    } else {
      prepend({dims[d], stride}, joins, args.kept, args.kept_rank);
    }
    inner_reduced = is_reduced[d];
    stride *= dims[d];
  }
  if (args.reduced_rank == 0) prepend({1, 1}, false, args.reduced, args.reduced_rank);
  return args;
}

}  // namespace bcai::vm
