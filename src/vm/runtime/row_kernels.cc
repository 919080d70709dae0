// SPDX-License-Identifier: Apache-2.0
// Softmax, LayerNorm, RMSNorm and the reductions of f32.
#include <optional>

#include "vm/backend/cpu/norm.h"
#include "vm/backend/cpu/reduction.h"
#include "vm/backend/cpu/softmax.h"
#include "vm/runtime/kernel.h"

namespace bcai::vm {
namespace {

InstructionView attributes_of(const Launch& launch) {
  return {launch.opcode, {}, launch.attributes, {}};
}

int64_t count(const Shape& shape, size_t first, size_t last) {
  return shape.elements(first, last).value();
}

class SoftmaxKernel : public Kernel {
 public:
  SoftmaxKernel(const Launch& launch, SimdLevel level)
      : launch_(launch), args_{}, run_(softmax_kernels(level).run) {
    const Shape& shape = launch.operands[0].type.shape;
    const auto axis = static_cast<size_t>(int_of(attributes_of(launch), Attr::kAxis));
    args_.outer = count(shape, 0, axis);
    args_.n = shape[axis].value();
    args_.inner = count(shape, axis + 1, shape.rank());
  }
  void bind(const Addresses& addresses) override {
    args_.x = addresses.floats(launch_.operands[0]);
    args_.y = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return softmax_units(args_); }
  int64_t scratch_bytes() const override { return softmax_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  SoftmaxArgs args_;
  void (*run_)(const SoftmaxArgs&, int64_t, int64_t, std::byte*);
};

class NormKernel : public Kernel {
 public:
  NormKernel(const Launch& launch, SimdLevel level)
      : launch_(launch),
        args_{},
        run_(launch.opcode == Opcode::kLayerNorm ? norm_kernels(level).layer_norm
                                                 : norm_kernels(level).rms_norm) {
    const Shape& shape = launch.operands[0].type.shape;
    args_.rows = count(shape, 0, shape.rank() - 1);
    args_.n = shape[shape.rank() - 1].value();
    args_.epsilon = float_of(attributes_of(launch), Attr::kEpsilon);
  }
  void bind(const Addresses& addresses) override {
    const std::vector<Operand>& operands = launch_.operands;
    args_.x = addresses.floats(operands[0]);
    args_.gamma = operands.size() > 1 ? addresses.floats(operands[1]) : nullptr;
    args_.beta = operands.size() > 2 ? addresses.floats(operands[2]) : nullptr;
    args_.y = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return norm_units(args_); }
  int64_t scratch_bytes() const override { return norm_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  NormArgs args_;
  void (*run_)(const NormArgs&, int64_t, int64_t, std::byte*);
};

class ReductionKernel : public Kernel {
 public:
  ReductionKernel(const Launch& launch, const ReductionArgs& args, SimdLevel level)
      : launch_(launch), args_(args), run_(reduction_kernels(level).run) {}
  void bind(const Addresses& addresses) override {
    args_.x = addresses.floats(launch_.operands[0]);
    args_.y = addresses.of(launch_.results[0]);
  }
  int64_t units() const override { return reduction_units(args_); }
  int64_t scratch_bytes() const override { return reduction_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  ReductionArgs args_;
  void (*run_)(const ReductionArgs&, int64_t, int64_t, std::byte*);
};

// Products are added up in another order by the kernel, and least elements it does not know.
std::optional<ReductionKind> reduction_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::kReduceSum: return ReductionKind::kSum;
    case Opcode::kReduceMean: return ReductionKind::kMean;
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
  return std::make_unique<ReductionKernel>(launch, *args, level);
}

}  // namespace

std::unique_ptr<Kernel> make_row_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction) return nullptr;
  switch (launch.opcode) {
    case Opcode::kSoftmax:
      // The kernel's largest element may be -0, the instruction's is +0: the logarithm shows it.
      if (int_of(attributes_of(launch), Attr::kLog) != 0) return nullptr;
      return std::make_unique<SoftmaxKernel>(launch, target.level);
    case Opcode::kLayerNorm:
      // The kernel knows no bias without a scale.
      if (launch.operands.size() > 2 && !launch.operands[1].present()) return nullptr;
      return std::make_unique<NormKernel>(launch, target.level);
    case Opcode::kRMSNorm: return std::make_unique<NormKernel>(launch, target.level);
    case Opcode::kReduceSum:
    case Opcode::kReduceMean:
    case Opcode::kReduceMax:
    case Opcode::kReduceMin:
    case Opcode::kArgMax: return make_reduction_kernel(launch, target.level);
    default: return nullptr;
  }
}

}  // namespace bcai::vm
