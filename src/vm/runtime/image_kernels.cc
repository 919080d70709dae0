// SPDX-License-Identifier: Apache-2.0
// Convolution and pooling of images whose channels lie innermost, and resampling of any.
#include <algorithm>
#include <cmath>

#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/convolution_transpose.h"
#include "vm/backend/cpu/pool.h"
#include "vm/backend/cpu/resize.h"
#include "vm/backend/reference/resample.h"
#include "vm/isa/choices.h"
#include "vm/runtime/args_kernel.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// Not a layout of matmul's panels.
constexpr int kConvolutionLayout = 100;
constexpr int kConvolutionTransposeLayout = 10'000'000;
constexpr int kConvolutionSpreadLayout = 20'000'000;

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

void bind_convolution(ConvolutionArgs& bound, const Launch& at, const Addresses& addresses) {
  bound.input = addresses.floats(at.operands[0]);
  if (at.operands.size() > 2) bound.epilogue.bias = addresses.floats(at.operands[2]);
  bound.epilogue.residual = addresses.floats(at.residual);
  bound.output = addresses.floats(at.results[0]);
}

std::unique_ptr<Kernel> make_convolution_kernel(const Launch& launch, const KernelTarget& target) {
  auto args = sizes_of<ConvolutionArgs>(launch);
  const Operand& weight = launch.operands[1];
  const Shape& shape = weight.type.shape;  // [O, C/groups, ..]
  const Pair kernel = spatial(shape, 2);
  args.output_channels = shape[0].value();
  args.groups = int_of(attributes_of(launch), Attr::kGroups);
  args.kernel_height = kernel.height;
  args.kernel_width = kernel.width;
  args.epilogue.activation = activation_of(launch);
  args.epilogue.residual_stride = args.output_channels;
  args.epilogue.relu_last = launch.relu;
  const int64_t taps = kernel.height * kernel.width;
  const auto pack = [&](float* packed) {
    convolution_pack(args,
                     {.data = target.weights.floats(weight),
                      .output_stride = shape[1].value() * taps,
                      .height_stride = kernel.width,
                      .width_stride = 1,
                      .input_stride = taps},
                     packed);
  };
  args.weights = target.packed.get(weight, kConvolutionLayout + static_cast<int>(args.groups),
                                   convolution_packed_floats(args), pack);
  return make_args_kernel<ConvolutionArgs>(
      launch, args,
      {.run = convolution_kernels(target.level).run,
       .units = convolution_units,
       .scratch_bytes = convolution_scratch_bytes,
       .bind = bind_convolution,
       .weights = [](const ConvolutionArgs& made) { return made.weights; }});
}

std::unique_ptr<Kernel> make_transpose_kernel(const Launch& launch, const KernelTarget& target) {
  auto args = sizes_of<ConvolutionArgs>(launch);
  const Operand& weight = launch.operands[1];
  const Shape& shape = weight.type.shape;  // [C, O/groups, ..]
  const Pair kernel = spatial(shape, 2);
  args.groups = int_of(attributes_of(launch), Attr::kGroups);
  args.output_channels = shape[1].value() * args.groups;
  args.kernel_height = kernel.height;
  args.kernel_width = kernel.width;
  args.epilogue.activation = activation_of(launch);
  args.epilogue.residual_stride = args.output_channels;
  args.epilogue.relu_last = launch.relu;
  const auto pack = [&](float* packed) {
    convolution_transpose_pack(args, target.weights.floats(weight), packed);
  };
  const int layout =
      convolution_transpose_spreads(args) ? kConvolutionSpreadLayout : kConvolutionTransposeLayout;
  args.weights = target.packed.get(weight, layout + static_cast<int>(args.groups),
                                   convolution_transpose_packed_floats(args), pack);
  return make_args_kernel<ConvolutionArgs>(launch, args,
                                           {.run = convolution_transpose_kernels(target.level).run,
                                            .units = convolution_transpose_units,
                                            .scratch_bytes = convolution_transpose_scratch_bytes,
                                            .bind = bind_convolution});
}

std::unique_ptr<Kernel> make_pool_kernel(const Launch& launch, SimdLevel level) {
  auto args = sizes_of<PoolArgs>(launch);
  const Pair kernel = pair_of(launch, Attr::kKernel, 1);
  args.kernel_height = kernel.height;
  args.kernel_width = kernel.width;
  args.kind = launch.opcode == Opcode::kMaxPool ? PoolKind::kMaximum
              : int_of(attributes_of(launch), Attr::kCountIncludePad) != 0
                  ? PoolKind::kAverageWithPadding
                  : PoolKind::kAverage;
  return make_args_kernel<PoolArgs>(
      launch, args,
      {.run = pool_kernels(level).run,
       .units = pool_units,
       .scratch_bytes = pool_scratch_bytes,
       .bind = [](PoolArgs& bound, const Launch& at, const Addresses& addresses) {
         bound.input = addresses.floats(at.operands[0]);
         bound.output = addresses.floats(at.results[0]);
       }});
}

// An axis that keeps its size is not blended.
std::vector<ResizeBlend> blends_of(const InstructionView& view, int64_t in, int64_t out) {
  std::vector<ResizeBlend> blends;
  const bool linear = static_cast<ResizeMode>(int_of(view, Attr::kMode)) == ResizeMode::kLinear;
  const auto last = static_cast<double>(in - 1);
  for (int64_t i = 0; i < out; ++i) {
    if (in == out) {
      blends.push_back({i, i, 0});
      continue;
    }
    double at = reference::sample_position(
        static_cast<Coordinates>(int_of(view, Attr::kCoordinates)), i, in, out);
    if (!linear) {
      at = reference::nearest_sample(static_cast<Nearest>(int_of(view, Attr::kRounding)), at);
    }
    at = std::clamp(at, 0.0, last);
    const auto low = static_cast<int64_t>(std::floor(at));
    blends.push_back({low, std::min(low + 1, in - 1), static_cast<float>(at - std::floor(at))});
  }
  return blends;
}

class ResizeKernel final : public Kernel {
 public:
  ResizeKernel(const Launch& launch, SimdLevel level)
      : launch_(launch), run_(resize_kernels(level).run) {
    const Shape& x = launch.operands[0].type.shape;
    const Shape& y = launch.results[0].type.shape;
    const size_t first = launch.channels_last ? 1 : 2;
    args_.channels = launch.channels_last ? x[x.rank() - 1].value() : 1;
    args_.batch = launch.channels_last ? x[0].value() : x[0].value() * x[1].value();
    const size_t axes = x.rank() - 2;
    for (size_t axis = 0; axis < 3; ++axis) {
      const size_t missing = 3 - axes;
      if (axis >= missing) {
        args_.in[axis] = x[first + axis - missing].value();
        args_.out[axis] = y[first + axis - missing].value();
      }
      blends_[axis] = blends_of(attributes_of(launch), args_.in[axis], args_.out[axis]);
      args_.blends[axis] = blends_[axis].data();
    }
  }
  void bind(const Addresses& addresses) override {
    args_.x = addresses.floats(launch_.operands[0]);
    args_.y = addresses.floats(launch_.results[0]);
  }
  int64_t units() const override { return resize_units(args_); }
  int64_t scratch_bytes() const override { return resize_scratch_bytes(args_); }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    run_(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  void (*const run_)(const ResizeArgs&, int64_t, int64_t, std::byte*);
  std::vector<ResizeBlend> blends_[3];
  ResizeArgs args_;
};

}  // namespace

std::unique_ptr<Kernel> make_image_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction) return nullptr;
  const bool empty = launch.operands.empty() || launch.operands[0].bytes() == 0;
  if (launch.opcode == Opcode::kResize && !empty) {
    return std::make_unique<ResizeKernel>(launch, target.level);
  }
  if (!launch.channels_last) return nullptr;
  switch (launch.opcode) {
    case Opcode::kConvolutionForward: return make_convolution_kernel(launch, target);
    case Opcode::kConvolutionTranspose: return make_transpose_kernel(launch, target);
    case Opcode::kMaxPool:
    case Opcode::kAveragePool: return make_pool_kernel(launch, target.level);
    default: return nullptr;
  }
}

}  // namespace bcai::vm
