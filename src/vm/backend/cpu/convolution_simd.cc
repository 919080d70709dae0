// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution.h"

#include "vm/backend/cpu/convolution_blocks.h"
#include "vm/backend/cpu/depthwise.h"
#include "vm/backend/cpu/matmul_block.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// The taps of one pixel are read in runs that lie together in the input: a line of the kernel, or
// one tap where lines have gaps.
struct Runs {
  int64_t taps;    // of one run
  int64_t floats;  // of one run
  int64_t group_channels;
  explicit Runs(const ConvolutionArgs& args) : group_channels(args.channels / args.groups) {
    taps = args.groups == 1 && args.dilation_width == 1 ? args.kernel_width : 1;
    floats = taps * group_channels;
  }
};

struct Pixel {
  int64_t image;
  int64_t row;  // of the output
  int64_t column;
};

// Floats [begin, end) of a run, zeros where it leaves the line of the input that starts at `line`
// (null: the whole line is padding). `column` is the input column of the run's first tap.
void gather_run(const ConvolutionArgs& args, const Runs& runs, const float* line, int64_t column,
                int64_t begin, int64_t end, float* to) {
  int64_t left = column < 0 ? -column * runs.group_channels : 0;
  int64_t right = (args.width - column) * runs.group_channels;
  if (line == nullptr || left > end) left = end;
  if (left < begin) left = begin;
  if (right > end) right = end;
  if (right < left) right = left;
  fill_zero<S>(to, left - begin);
  if (right > left) copy<S>(line + column * args.channels + left, right - left, to + left - begin);
  fill_zero<S>(to + right - begin, end - right);
}

// Taps [begin, end) of one pixel.
void gather_pixel(const ConvolutionArgs& args, const Runs& runs, const float* input,
                  const Pixel& pixel, int64_t begin, int64_t end, float* to) {
  const int64_t per_line = args.kernel_width / runs.taps;
  for (int64_t run = begin / runs.floats; run * runs.floats < end; ++run) {
    const int64_t row =
        pixel.row * args.stride_height - args.pad_top + run / per_line * args.dilation_height;
    const int64_t column =
        pixel.column * args.stride_width - args.pad_left + run % per_line * args.dilation_width;
    const float* line = row < 0 || row >= args.height ? nullptr
                                                      : input + (pixel.image * args.height + row) *
                                                                    args.width * args.channels;
    const int64_t start = run * runs.floats;
    const int64_t from = begin > start ? begin - start : 0;
    const int64_t stop = end - start < runs.floats ? end - start : runs.floats;
    gather_run(args, runs, line, column, from, stop, to + start + from - begin);
  }
}

void run_group(const ConvolutionArgs& args, int64_t group, int64_t begin, int64_t end,
               float* scratch) {
  const MatMulArgs product = convolution_matmul(args, group);
  const Runs runs(args);
  const auto gather = [&](const Block& block, float* to) {
    Pixel pixel{.image = block.row_begin / (args.output_height * args.output_width),
                .row = block.row_begin / args.output_width % args.output_height,
                .column = block.row_begin % args.output_width};
    for (int64_t r = block.row_begin; r < block.row_end; ++r, to += block.a_stride) {
      gather_pixel(args, runs, product.a, pixel, block.depth_begin, block.depth_end, to);
      if (++pixel.column < args.output_width) continue;
      pixel.column = 0;
      if (++pixel.row < args.output_height) continue;
      pixel.row = 0;
      ++pixel.image;
    }
  };
  const int64_t panels = panel_count(product.columns);
  const int64_t block_rows = matmul_block_rows(product);
  while (begin < end) {
    const int64_t panel = begin % panels;
    const int64_t count = end - begin < panels - panel ? end - begin : panels - panel;
    const int64_t first = begin / panels * block_rows;
    const int64_t last = first + block_rows < product.rows ? first + block_rows : product.rows;
    const Block block{.args = product,
                      .a = product.a,
                      .b = product.b,
                      .c = product.c,
                      .residual = product.epilogue.residual,
                      .row_begin = first,
                      .row_end = last};
    run_block<S>(block, panel, panel + count, scratch, gather);
    begin += count;
  }
}

void run(const ConvolutionArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  if (convolution_is_depthwise(args)) {
    for (int64_t unit = begin; unit < end; ++unit) depthwise_line<S>(args, unit);
    return;
  }
  const int64_t units = matmul_units(convolution_matmul(args, 0));
  while (begin < end) {
    const int64_t group = begin / units;
    const int64_t first = begin - group * units;
    const int64_t last = end - group * units < units ? end - group * units : units;
    run_group(args, group, first, last, reinterpret_cast<float*>(scratch));
    begin += last - first;
  }
}

}  // namespace

extern const ConvolutionKernels kConvolutionKernels;
const ConvolutionKernels kConvolutionKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
