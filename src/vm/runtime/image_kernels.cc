// SPDX-License-Identifier: Apache-2.0
// Convolution and pooling of images whose channels lie innermost.
#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/pool.h"
#include "vm/runtime/args_kernel.h"
#include "vm/runtime/packed_weights.h"

namespace bcai::vm {
namespace {

// Not a layout of matmul's panels.
constexpr int kConvolutionLayout = 100;

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
       .bind = [](ConvolutionArgs& bound, const Launch& at, const Addresses& addresses) {
         bound.input = addresses.floats(at.operands[0]);
         if (at.operands.size() > 2) bound.epilogue.bias = addresses.floats(at.operands[2]);
         bound.epilogue.residual = addresses.floats(at.residual);
         bound.output = addresses.floats(at.results[0]);
       }});
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

}  // namespace

std::unique_ptr<Kernel> make_image_kernel(const Launch& launch, const KernelTarget& target) {
  if (launch.kind != LaunchKind::kInstruction || !launch.channels_last) return nullptr;
  if (launch.opcode == Opcode::kConvolutionForward) {
    return make_convolution_kernel(launch, target);
  }
  return make_pool_kernel(launch, target.level);
}

}  // namespace bcai::vm
