// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution.h"

#include <algorithm>

#include "vm/backend/cpu/convolution_blocks.h"
#include "vm/backend/cpu/matmul_blocks.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ConvolutionKernels, kConvolutionKernels)

namespace {

int64_t depth_of(const ConvolutionArgs& args) {
  return args.kernel_height * args.kernel_width * (args.channels / args.groups);
}

// Pixels are rows of the input: one tap, nothing skipped, no padding.
bool reads_in_place(const ConvolutionArgs& args) {
  return args.kernel_height == 1 && args.kernel_width == 1 && args.stride_height == 1 &&
         args.stride_width == 1 && args.pad_top == 0 && args.pad_left == 0 &&
         args.output_height == args.height && args.output_width == args.width;
}

constexpr int64_t kWindowDepthMax = 1152;
constexpr int64_t kWindowWidthMin = 12;
// Windows of a block: neighbours share lines of the copy, and the depth is less than a matmul's.
constexpr int64_t kWindows = 336;

}  // namespace

bool convolution_reads_windows(const ConvolutionArgs& args) {
  const bool overlap = args.kernel_height > 1 || args.kernel_width > 1;
  return args.groups == 1 && args.dilation_width == 1 && overlap &&
         args.output_width >= kWindowWidthMin && depth_of(args) <= kWindowDepthMax &&
         args.channels > 0 && args.output_height > 1;  // one line would be one unit
}

WindowBlocks::WindowBlocks(const ConvolutionArgs& args)
    : lines(std::clamp(kWindows / args.output_width, int64_t{1}, args.output_height)),
      count((args.output_height + lines - 1) / lines),
      height((lines - 1) * args.stride_height + (args.kernel_height - 1) * args.dilation_height +
             1),
      width((args.output_width - 1) * args.stride_width + args.kernel_width),
      channels(args.channels) {}

const ConvolutionKernels& convolution_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kConvolutionKernels);
}

int64_t convolution_group_floats(const ConvolutionArgs& args) {
  return panel_floats(depth_of(args), args.output_channels / args.groups);
}

MatMulArgs convolution_matmul(const ConvolutionArgs& args, int64_t group) {
  const int64_t columns = args.output_channels / args.groups;
  MatMulArgs product{
      .rows = args.batch * args.output_height * args.output_width,
      .columns = columns,
      .depth = depth_of(args),
      .a = args.input + group * (args.channels / args.groups),
      .a_stride = args.channels,
      .a_layout = reads_in_place(args) ? MatrixLayout::kRows : MatrixLayout::kGathered,
      .b = args.weights + group * convolution_group_floats(args),
      .b_layout = MatrixLayout::kPacked,
      .next_weights = args.next_weights,
      .c = args.output + group * columns,
      .c_stride = args.output_channels,
      .epilogue = args.epilogue};
  if (args.epilogue.bias != nullptr) product.epilogue.bias += group * columns;
  if (args.epilogue.residual != nullptr) product.epilogue.residual += group * columns;
  return product;
}

int64_t convolution_packed_floats(const ConvolutionArgs& args) {
  if (convolution_is_depthwise(args)) return depth_of(args) * args.channels;
  return args.groups * convolution_group_floats(args);
}

void convolution_pack(const ConvolutionArgs& args, const ConvolutionWeights& weights,
                      float* packed) {
  const bool depthwise = convolution_is_depthwise(args);
  const int64_t columns = depthwise ? args.channels : args.output_channels / args.groups;
  const int64_t inputs = args.channels / args.groups;
  const int64_t depth = depth_of(args);
  for (int64_t first = 0; first < args.output_channels; first += columns) {
    for (int64_t panel = 0; panel < (depthwise ? 1 : panel_count(columns)); ++panel) {
      const int64_t width = depthwise ? columns : panel_width(columns, panel);
      for (int64_t k = 0; k < depth; ++k) {
        const int64_t tap = k / inputs;
        const float* from = weights.data + tap / args.kernel_width * weights.height_stride +
                            tap % args.kernel_width * weights.width_stride +
                            k % inputs * weights.input_stride;
        for (int64_t j = 0; j < width; ++j) {
          const int64_t column = panel * kPanelColumns + j;
          *packed++ = column < columns ? from[(first + column) * weights.output_stride] : 0.0f;
        }
      }
    }
  }
}

int64_t convolution_units(const ConvolutionArgs& args) {
  if (convolution_is_depthwise(args)) return args.batch * args.output_height;
  if (convolution_reads_windows(args)) {
    return args.batch * WindowBlocks(args).count * panel_count(args.output_channels);
  }
  return args.groups * matmul_units(convolution_matmul(args, 0));
}

int64_t convolution_scratch_bytes(const ConvolutionArgs& args) {
  if (convolution_reads_windows(args)) {
    return (WindowBlocks(args).floats() + 15) / 16 * 16 * int64_t{sizeof(float)};
  }
  if (!convolution_is_depthwise(args)) return matmul_scratch_bytes(convolution_matmul(args, 0));
  return args.output_width == 0 ? 0 : 64;
}

}  // namespace bcai::vm
