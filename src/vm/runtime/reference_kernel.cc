// SPDX-License-Identifier: Apache-2.0
// What has no kernel yet runs on the reference backend.
#include <algorithm>
#include <cstring>

#include "vm/backend/reference/step.h"
#include "vm/runtime/kernel.h"

namespace bcai::vm {
namespace {

Tensor tensor_at(const Addresses& addresses, const Operand& operand) {
  return Tensor::borrow(operand.type.dtype, dims_of(operand.type.shape), addresses.of(operand), {});
}

class ReferenceKernel : public Kernel {
 public:
  explicit ReferenceKernel(const Launch& launch) : launch_(launch) {
    // Norms, whose residual comes first, have kernels.
    BCAI_ASSERT(!launch.residual.present() || launch.opcode == Opcode::kTensorMatMul ||
                launch.opcode == Opcode::kConvolutionForward);
    for (const Operand& operand : launch.operands) {
      types_.push_back(operand.present() ? &operand.type : nullptr);
    }
    if (info_of(launch.opcode).instruction_class->stated) {
      for (const Operand& result : launch.results) stated_.push_back(result.type);
    }
  }

  std::string_view backend() const override { return "reference"; }

  void bind(const Addresses& addresses) override {
    operands_.clear();
    results_.clear();
    for (const Operand& operand : launch_.operands) {
      operands_.push_back(operand.present() ? tensor_at(addresses, operand) : Tensor());
    }
    for (const Operand& result : launch_.results) results_.push_back(tensor_at(addresses, result));
    pointers_.clear();
    for (size_t i = 0; i < operands_.size(); ++i) {
      pointers_.push_back(types_[i] != nullptr ? &operands_[i] : nullptr);
    }
    if (launch_.residual.present()) residual_ = tensor_at(addresses, launch_.residual);
  }

  Result<void> run(int64_t, int64_t, std::byte*) override {
    for (Tensor& result : results_) {
      std::fill(result.bytes().begin(), result.bytes().end(), std::byte{0});
    }
    const InstructionView view{launch_.opcode, types_, launch_.attributes, stated_};
    BCAI_TRY(reference::kernel_of(launch_.opcode)({view, pointers_, results_}));
    if (!launch_.residual.present()) return {};
    const Attributes none;
    const std::vector<const Type*> types = {&launch_.residual.type, &launch_.residual.type};
    const std::vector<const Tensor*> operands = {&results_[0], &residual_};
    BCAI_TRY(reference::binary({{Opcode::kAdd, types, none, {}}, operands, results_}));
    if (!launch_.relu) return {};
    const std::vector<const Type*> type = {&launch_.residual.type};
    const std::vector<const Tensor*> sum = {&results_[0]};
    return reference::unary({{Opcode::kRelu, type, none, {}}, sum, results_});
  }

 private:
  const Launch& launch_;
  std::vector<const Type*> types_;
  std::vector<Type> stated_;
  std::vector<Tensor> operands_;
  std::vector<const Tensor*> pointers_;
  std::vector<Tensor> results_;
  Tensor residual_;
};

// A state is rewritten where it lies: only the new rows are written.
class AppendKernel : public Kernel {
 public:
  explicit AppendKernel(const Launch& launch) : launch_(launch) {
    const Shape& state = launch.operands[0].type.shape;
    batch_ = state[0].value();
    rows_ = state[1].value();
    row_bytes_ = state[2].value() * dtype_bytes(DType::kF32);
    added_ = launch.operands[1].type.shape[1].value();
  }

  void bind(const Addresses& addresses) override {
    state_ = addresses.of(launch_.operands[0]);
    x_ = addresses.of(launch_.operands[1]);
    position_ = addresses.of(launch_.operands[2]);
  }

  Result<void> run(int64_t, int64_t, std::byte*) override {
    int32_t position = 0;
    std::memcpy(&position, position_, sizeof(position));
    if (position < 0 || position + added_ > rows_) {
      return error(ErrorCode::kInvalidArgument,
                   "KVCacheAppend: {} rows at position {} leave the state's {}", added_, position,
                   rows_);
    }
    const auto bytes = static_cast<size_t>(added_ * row_bytes_);
    if (bytes == 0) return {};
    for (int64_t i = 0; i < batch_; ++i) {
      std::memcpy(state_ + (i * rows_ + position) * row_bytes_,
                  x_ + i * static_cast<int64_t>(bytes), bytes);
    }
    return {};
  }

 private:
  const Launch& launch_;
  int64_t batch_ = 0;
  int64_t rows_ = 0;
  int64_t row_bytes_ = 0;
  int64_t added_ = 0;
  std::byte* state_ = nullptr;
  const std::byte* x_ = nullptr;
  const std::byte* position_ = nullptr;
};

class CopyKernel : public Kernel {
 public:
  static constexpr int64_t kPiece = int64_t{1} << 20;  // bytes
  explicit CopyKernel(const Launch& launch) : launch_(launch) {}
  void bind(const Addresses& addresses) override {
    from_ = addresses.of(launch_.operands[0]);
    to_ = addresses.of(launch_.results[0]);
  }
  int64_t units() const override { return (launch_.operands[0].bytes() + kPiece - 1) / kPiece; }
  Result<void> run(int64_t begin, int64_t end, std::byte*) override {
    const int64_t last = std::min(end * kPiece, launch_.operands[0].bytes());
    const int64_t first = begin * kPiece;
    if (last > first) std::memcpy(to_ + first, from_ + first, static_cast<size_t>(last - first));
    return {};
  }

 private:
  const Launch& launch_;
  const std::byte* from_ = nullptr;
  std::byte* to_ = nullptr;
};

}  // namespace

std::unique_ptr<Kernel> make_reference_kernel(const Launch& launch) {
  if (launch.kind == LaunchKind::kCopy) return std::make_unique<CopyKernel>(launch);
  if (launch.opcode == Opcode::kKVCacheAppend) return std::make_unique<AppendKernel>(launch);
  return std::make_unique<ReferenceKernel>(launch);
}

std::unique_ptr<Kernel> make_kernel(const Launch& launch, const KernelTarget& target) {
  for (const auto make :
       {make_map_kernel, make_matmul_kernel, make_image_kernel, make_attention_kernel,
        make_row_kernel, make_recurrent_kernel, make_movement_kernel}) {
    if (auto kernel = make(launch, target)) return kernel;
  }
  return make_reference_kernel(launch);
}

}  // namespace bcai::vm
