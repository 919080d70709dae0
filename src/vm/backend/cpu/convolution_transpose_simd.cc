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

// A line of input against all taps: pixel x of it gives the row x of sums, whose columns are the
// taps' outputs, and those of one line of taps lie in the line of output as they lie here.
class Spread {
 public:
  Spread(const ConvolutionArgs& args, float* scratch)
      : args_(args),
        columns_(args.kernel_height * args.kernel_width * args.output_channels),
        stride_(round_up(columns_, 16)),
        length_(args.output_width * args.output_channels),
        sums_(scratch),
        line_(sums_ + args.width * stride_),
        bias_(line_ + round_up(length_, 16)) {
    if (args.epilogue.bias == nullptr) return;
    for (int64_t i = 0; i < length_; i += args.output_channels) {
      copy<S>(args.epilogue.bias, args.output_channels, bias_ + i);
    }
  }

  void run(int64_t unit) const {
    for (int64_t panel = 0; panel < panel_count(columns_); ++panel) {
      multiply_panel<S>({.a = args_.input + unit * args_.width * args_.channels,
                         .a_stride = args_.channels,
                         .b = args_.weights + panel * kPanelColumns * args_.channels,
                         .depth = args_.channels,
                         .c = sums_ + panel * kPanelColumns,
                         .c_stride = stride_,
                         .resume = false},
                        args_.width, panel_width(columns_, panel));
    }
    for (int64_t kh = 0; kh < args_.kernel_height; ++kh) write_line(unit, kh);
  }

 private:
  void write_line(int64_t unit, int64_t kh) const {
    const int64_t n = columns_ / args_.kernel_height;
    const float* from = sums_ + kh * n;
    if (n >= S::kLanes) {
      for (int64_t x = 0; x < args_.width; ++x) copy<S>(from + x * stride_, n, line_ + x * n);
    } else {
      for (int64_t x = 0; x < args_.width; ++x) {
        for (int64_t j = 0; j < n; ++j) line_[x * n + j] = from[x * stride_ + j];
      }
    }
    const Epilogue& e = args_.epilogue;
    const int64_t line = unit * args_.kernel_height + kh;
    // The residual's pixels need not lie side by side.
    const int64_t rows = e.residual == nullptr ? 1 : args_.output_width;
    const int64_t columns = length_ / rows;
    finish<S>({.sums = line_,
               .sums_stride = columns,
               .output = args_.output + line * length_,
               .output_stride = columns,
               .rows = rows,
               .columns = columns,
               .epilogue = &e,
               .bias = e.bias == nullptr ? nullptr : bias_,
               .residual = e.residual == nullptr
                               ? nullptr
                               : e.residual + line * args_.output_width * e.residual_stride});
  }

  const ConvolutionArgs& args_;
  const int64_t columns_;
  const int64_t stride_;
  const int64_t length_;  // floats of a line of output
  float* const sums_;
  float* const line_;
  float* const bias_;  // for each of them
};

void run(const ConvolutionArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  if (convolution_transpose_spreads(args)) {
    const Spread spread(args, reinterpret_cast<float*>(scratch));
    for (int64_t unit = begin; unit < end; ++unit) spread.run(unit);
    return;
  }
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
