// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution.h"

#include "vm/backend/cpu/convolution_blocks.h"
#include "vm/backend/cpu/convolution_windows.h"
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

// The first output pixel of a row of the matmul.
Pixel pixel_of(const ConvolutionArgs& args, int64_t row) {
  return {.image = row / (args.output_height * args.output_width),
          .row = row / args.output_width % args.output_height,
          .column = row % args.output_width};
}

void advance(const ConvolutionArgs& args, Pixel& pixel) {
  if (++pixel.column < args.output_width) return;
  pixel.column = 0;
  if (++pixel.row < args.output_height) return;
  pixel.row = 0;
  ++pixel.image;
}

// Floats [begin, end) of a run that leaves the line of the input that starts at `line` (null: the
// whole line is padding), with zeros outside. `column` is the input column of the run's first tap.
void gather_edge(const ConvolutionArgs& args, const Runs& runs, const float* line, int64_t column,
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

// Floats [begin, end) of one run, of `count` pixels.
void gather_run(const ConvolutionArgs& args, const Runs& runs, const float* input, Pixel pixel,
                int64_t count, int64_t run, int64_t begin, int64_t end, float* to,
                ptrdiff_t to_stride) {
  const int64_t per_line = args.kernel_width / runs.taps;
  const int64_t down = run / per_line * args.dilation_height - args.pad_top;
  const int64_t right = run % per_line * args.dilation_width - args.pad_left;
  for (int64_t i = 0; i < count; ++i, to += to_stride) {
    const int64_t row = pixel.row * args.stride_height + down;
    const int64_t column = pixel.column * args.stride_width + right;
    const bool there = row >= 0 && row < args.height;
    const float* line =
        there ? input + (pixel.image * args.height + row) * args.width * args.channels : nullptr;
    if (there && column >= 0 && column + runs.taps <= args.width) {
      copy<S>(line + column * args.channels + begin, end - begin, to);
    } else {
      gather_edge(args, runs, line, column, begin, end, to);
    }
    advance(args, pixel);
  }
}

// The block's rows, some at a time so that they stay in L1 while their runs are laid side by side.
void gather_rows(const ConvolutionArgs& args, const Runs& runs, const float* input,
                 const Block& block, float* to) {
  constexpr int64_t kRowsAtATime = 16;
  Pixel pixel = pixel_of(args, block.row_begin);
  for (int64_t r = block.row_begin; r < block.row_end; r += kRowsAtATime) {
    const int64_t left = block.row_end - r;
    const int64_t count = left < kRowsAtATime ? left : kRowsAtATime;
    for (int64_t run = block.depth_begin / runs.floats; run * runs.floats < block.depth_end;
         ++run) {
      const int64_t start = run * runs.floats;
      const int64_t from = block.depth_begin > start ? block.depth_begin - start : 0;
      const int64_t rest = block.depth_end - start;
      gather_run(args, runs, input, pixel, count, run, from,
                 rest < runs.floats ? rest : runs.floats,
                 to + (r - block.row_begin) * block.a_stride + start + from - block.depth_begin,
                 block.a_stride);
    }
    for (int64_t i = 0; i < count; ++i) advance(args, pixel);
  }
}

void run_group(const ConvolutionArgs& args, int64_t group, int64_t begin, int64_t end,
               float* scratch) {
  MatMulArgs product = convolution_matmul(args, group);
  if (group + 1 < args.groups) product.next_weights = product.b + convolution_group_floats(args);
  const Runs runs(args);
  const auto gather = [&](const Block& block, float* to) {
    gather_rows(args, runs, product.a, block, to);
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
  if (convolution_reads_windows(args)) {
    return run_windows<S>(args, begin, end, reinterpret_cast<float*>(scratch));
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
