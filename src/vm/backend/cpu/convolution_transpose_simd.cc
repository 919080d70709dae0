// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution_transpose.h"

#include "vm/backend/cpu/finish.h"
#include "vm/backend/cpu/tile.h"
#include "vm/backend/cpu/transpose.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// One line of output in one group, its sums in rows of `stride` floats.
struct Line {
  const float* input;  // of the image and the group
  const float* weights;
  float* sums;
  ptrdiff_t stride;
};

// The inputs of a line that one tap carries to outputs inside.
void add_tap(const ConvolutionArgs& args, const Line& line, int64_t row, int64_t tap) {
  const int64_t shift = tap % args.kernel_width * args.dilation_width - args.pad_left;
  const int64_t step = args.stride_width;
  const int64_t first = shift < 0 ? (-shift + step - 1) / step : 0;
  const int64_t room = args.output_width - shift;
  int64_t end = room > 0 ? (room + step - 1) / step : 0;
  if (end > args.width) end = args.width;
  if (first >= end) return;
  const int64_t inputs = args.channels / args.groups;
  const int64_t outputs = args.output_channels / args.groups;
  const float* b = line.weights + tap * panel_floats(inputs, outputs);
  for (int64_t panel = 0; panel < panel_count(outputs); ++panel) {
    multiply_panel<S>(
        {.a = line.input + (row * args.width + first) * args.channels,
         .a_stride = args.channels,
         .b = b + panel * kPanelColumns * inputs,
         .depth = inputs,
         .c = line.sums + (first * step + shift) * line.stride + panel * kPanelColumns,
         .c_stride = step * line.stride,
         .resume = true},
        end - first, panel_width(outputs, panel));
  }
}

void run_line(const ConvolutionArgs& args, int64_t unit, int64_t group, float* scratch) {
  const int64_t image = unit / args.output_height;
  const int64_t taps = args.kernel_height * args.kernel_width;
  const int64_t inputs = args.channels / args.groups;
  const int64_t outputs = args.output_channels / args.groups;
  const Line line{
      .input = args.input + image * args.height * args.width * args.channels + group * inputs,
      .weights = args.weights + group * taps * panel_floats(inputs, outputs),
      .sums = scratch,
      .stride = panel_count(outputs) * kPanelColumns};
  fill_zero<S>(scratch, args.output_width * line.stride);
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t reach =
        unit % args.output_height + args.pad_top - tap / args.kernel_width * args.dilation_height;
    if (reach < 0 || reach % args.stride_height != 0) continue;
    const int64_t row = reach / args.stride_height;
    if (row < args.height) add_tap(args, line, row, tap);
  }
  const Epilogue& e = args.epilogue;
  const int64_t pixel = unit * args.output_width;
  finish<S>({.sums = scratch,
             .sums_stride = line.stride,
             .output = args.output + pixel * args.output_channels + group * outputs,
             .output_stride = args.output_channels,
             .rows = args.output_width,
             .columns = outputs,
             .epilogue = &e,
             .bias = e.bias == nullptr ? nullptr : e.bias + group * outputs,
             .residual = e.residual == nullptr
                             ? nullptr
                             : e.residual + pixel * e.residual_stride + group * outputs});
}

void run(const ConvolutionArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  for (int64_t unit = begin; unit < end; ++unit) {
    for (int64_t group = 0; group < args.groups; ++group) {
      run_line(args, unit, group, reinterpret_cast<float*>(scratch));
    }
  }
}

}  // namespace

extern const ConvolutionTransposeKernels kConvolutionTransposeKernels;
const ConvolutionTransposeKernels kConvolutionTransposeKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
