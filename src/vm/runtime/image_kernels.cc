// SPDX-License-Identifier: Apache-2.0
// Convolution and pooling of images whose channels lie innermost.
#include <array>

#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/pool.h"
#include "vm/runtime/kernel.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// In the order of kActivationWords (vm/isa/choices.h).
constexpr std::array kActivations = {EpilogueActivation::kNone,    EpilogueActivation::kRelu,
                                     EpilogueActivation::kGeluErf, EpilogueActivation::kGeluTanh,
                                     EpilogueActivation::kSilu,    EpilogueActivation::kSigmoid,
                                     EpilogueActivation::kTanh,    EpilogueActivation::kHardSwish};

// Not a layout of matmul's panels.
constexpr int kConvolutionLayout = 100;

InstructionView attributes_of(const Launch& launch) {
  return {launch.opcode, {}, launch.attributes, {}};
}

// Height and width; the height of a line is 1, with what that means for the attribute.
struct Pair {
  int64_t height;
  int64_t width;
};

Pair pair_of(const Launch& launch, Attr attribute, int64_t otherwise) {
  const std::vector<int64_t>& given = ints_of(attributes_of(launch), attribute);
  if (given.empty()) return {otherwise, otherwise};
  if (given.size() == 1) return {otherwise, given[0]};
  return {given[0], given[1]};
}

Pair spatial(const Shape& shape, size_t first) {
  if (shape.rank() == 3) return {1, shape[first].value()};
  return {shape[first].value(), shape[first + 1].value()};
}

template <typename Args>
Args sizes_of(const Launch& launch) {
  const Shape& x = launch.operands[0].type.shape;
  const Pair in = spatial(x, 1);
  const Pair out = spatial(launch.results[0].type.shape, 1);
  const Pair strides = pair_of(launch, Attr::kStrides, 1);
  const Pair dilations = pair_of(launch, Attr::kDilations, 1);
  const Pair pads = pair_of(launch, Attr::kPadsLow, 0);
  Args args;
  args.batch = x[0].value();
  args.channels = x[x.rank() - 1].value();
  args.height = in.height;
  args.width = in.width;
  args.output_height = out.height;
  args.output_width = out.width;
  args.stride_height = strides.height;
  args.stride_width = strides.width;
  args.dilation_height = dilations.height;
  args.dilation_width = dilations.width;
  args.pad_top = pads.height;
  args.pad_left = pads.width;
  return args;
}

class ConvolutionKernel : public Kernel {
 public:
  ConvolutionKernel(const Launch& launch, const KernelTarget& target)
      : launch_(launch),
        args_(sizes_of<ConvolutionArgs>(launch)),
        run_(convolution_kernels(target.level).run) {
    const Operand& weight = launch.operands[1];
    const Shape& shape = weight.type.shape;  // [O, C/groups, ..]
    const Pair kernel = spatial(shape, 2);
    args_.output_channels = shape[0].value();
    args_.groups = int_of(attributes_of(launch), Attr::kGroups);
    args_.kernel_height = kernel.height;
    args_.kernel_width = kernel.width;
    const int64_t activation = int_of(attributes_of(launch), Attr::kActivation);
    args_.epilogue.activation = kActivations[static_cast<size_t>(activation)];
    args_.epilogue.residual_stride = args_.output_channels;
    const int64_t taps = kernel.height * kernel.width;
    const auto pack = [&](float* packed) {
      convolution_pack(args_,
                       {.data = target.weights.floats(weight),
                        .output_stride = shape[1].value() * taps,
                        .height_stride = kernel.width,
                        .width_stride = 1,
                        .input_stride = taps},
                       packed);
    };
    args_.weights = target.packed.get(weight, kConvolutionLayout + static_cast<int>(args_.groups),
                                      convolution_packed_floats(args_), pack);
  }

  void bind(const Addresses& addresses) override {
    args_.input = addresses.floats(launch_.operands[0]);
    if (launch_.operands.size() > 2) args_.epilogue.bias = addresses.floats(launch_.operands[2]);
    args_.epilogue.residual = addresses.floats(launch_.residual);
    args_.output = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return convolution_units(args_); }
  int64_t scratch_bytes() const override { return convolution_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  ConvolutionArgs args_;
  void (*run_)(const ConvolutionArgs&, int64_t, int64_t, std::byte*);
};

class PoolKernel : public Kernel {
 public:
  PoolKernel(const Launch& launch, SimdLevel level)
      : launch_(launch), args_(sizes_of<PoolArgs>(launch)), run_(pool_kernels(level).run) {
    const Pair kernel = pair_of(launch, Attr::kKernel, 1);
    args_.kernel_height = kernel.height;
    args_.kernel_width = kernel.width;
    args_.kind = launch.opcode == Opcode::kMaxPool ? PoolKind::kMaximum
                 : int_of(attributes_of(launch), Attr::kCountIncludePad) != 0
                     ? PoolKind::kAverageWithPadding
                     : PoolKind::kAverage;
  }

  void bind(const Addresses& addresses) override {
    args_.input = addresses.floats(launch_.operands[0]);
    args_.output = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return pool_units(args_); }
  int64_t scratch_bytes() const override { return pool_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  PoolArgs args_;
  void (*run_)(const PoolArgs&, int64_t, int64_t, std::byte*);
};

}  // namespace

std::unique_ptr<Kernel> make_image_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction || !launch.channels_last) return nullptr;
  if (launch.opcode == Opcode::kConvolutionForward) {
    return std::make_unique<ConvolutionKernel>(launch, target);
  }
  return std::make_unique<PoolKernel>(launch, target.level);
}

}  // namespace bcai::vm
