// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <optional>

#include "vm/backend/cpu/attention.h"
#include "vm/runtime/args_kernel.h"

namespace bcai::vm {
namespace {

constexpr size_t kMask = 3;
constexpr size_t kLength = 4;

bool has(const Launch& launch, size_t operand) {
  return operand < launch.operands.size() && launch.operands[operand].present();
}

// Nothing where the kernel knows no such mask, value width or lengths.
std::optional<AttentionArgs> attention_args_of(const Launch& launch) {
  const Shape& q = launch.operands[0].type.shape;
  const Shape& k = launch.operands[1].type.shape;
  const Shape& v = launch.operands[2].type.shape;
  const InstructionView view = attributes_of(launch);
  AttentionArgs args;
  args.batch = q[0].value();
  args.queries = q[1].value();
  args.keys = k[1].value();
  args.heads = int_of(view, Attr::kHeads);
  args.kv_heads = int_of(view, Attr::kKvHeads);
  if (args.kv_heads == 0) args.kv_heads = args.heads;
  args.q_stride = args.output_stride = q[2].value();
  args.k_stride = args.v_stride = k[2].value();
  args.q_batch_stride = args.output_batch_stride = args.queries * args.q_stride;
  args.k_batch_stride = args.v_batch_stride = args.keys * args.k_stride;
  args.head_size = args.q_stride / args.heads;
  args.scale = float_of(view, Attr::kScale);
  args.causal = int_of(view, Attr::kCausal) != 0;
  args.window = int_of(view, Attr::kWindow);
  args.offset = args.keys - args.queries;
  if (!(v[2] == k[2])) return std::nullopt;
  if (has(launch, kLength) && launch.operands[kLength].type.shape.elements() != Dim(1)) {
    return std::nullopt;
  }
  if (!has(launch, kMask)) return args;
  const Shape& mask = launch.operands[kMask].type.shape;
  if (mask.rank() == 0 || !(mask[mask.rank() - 1] == k[1])) return std::nullopt;
  int64_t stride = args.keys;
  int64_t* const strides[] = {&args.mask_query_stride, &args.mask_head_stride,
                              &args.mask_batch_stride};
  for (size_t i = 0; i + 1 < mask.rank(); ++i) {
    const int64_t size = mask[mask.rank() - 2 - i].value();
    if (size != 1) *strides[i] = stride;
    stride *= size;
  }
  return args;
}

class AttentionKernel : public Kernel {
 public:
  AttentionKernel(const Launch& launch, const AttentionArgs& args, SimdLevel level)
      : launch_(launch), args_(args), run_(attention_kernels(level).run) {}

  void bind(const Addresses& addresses) override {
    args_.q = addresses.floats(launch_.operands[0]);
    args_.k = addresses.floats(launch_.operands[1]);
    args_.v = addresses.floats(launch_.operands[2]);
    if (has(launch_, kMask)) args_.mask = addresses.floats(launch_.operands[kMask]);
    if (has(launch_, kLength)) length_ = addresses.of(launch_.operands[kLength]);
    args_.output = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return attention_units(args_); }
  int64_t scratch_bytes() const override {
    int64_t most = attention_scratch_bytes(args_);
    if (!has(launch_, kLength)) return most;
    // Fewer keys may be taken for more heads at once.
    for (int64_t keys = 0; keys < args_.keys; keys += kKeyStep) {
      most = std::max(most, attention_scratch_bytes(with_length(keys)));
    }
    return most;
  }

  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    if (length_ == nullptr) {
      run_(args_, begin, end, scratch);
      return {};
    }
    int32_t length = 0;
    std::memcpy(&length, length_, sizeof(length));
    const int64_t least = args_.causal ? args_.queries : 0;
    if (length < least || length > args_.keys) {
      return error(ErrorCode::kInvalidArgument,
                   "TransformerAttention: length {} is outside {} to {}", length, least,
                   args_.keys);
    }
    run_(with_length(length), begin, end, scratch);
    return {};
  }

 private:
  // Scores are padded to this many, so scratch changes only here.
  static constexpr int64_t kKeyStep = 32;

  AttentionArgs with_length(int64_t length) const {
    AttentionArgs args = args_;
    args.keys = length;
    args.offset = length - args.queries;
    return args;
  }

  const Launch& launch_;
  AttentionArgs args_;
  const std::byte* length_ = nullptr;
  void (*run_)(const AttentionArgs&, int64_t, int64_t, std::byte*);
};

}  // namespace

std::unique_ptr<Kernel> make_attention_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction || launch.opcode != Opcode::kTransformerAttention) {
    return nullptr;
  }
  const std::optional<AttentionArgs> args = attention_args_of(launch);
  if (!args) return nullptr;
  return std::make_unique<AttentionKernel>(launch, *args, target.level);
}

}  // namespace bcai::vm
