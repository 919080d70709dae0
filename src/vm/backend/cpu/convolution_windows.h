// SPDX-License-Identifier: Apache-2.0
// Convolution whose windows are read where they lie, in a copy of a few lines of the input with
// zeros around them. For *_simd.cc alone.
#pragma once

#include "vm/backend/cpu/convolution_blocks.h"
#include "vm/backend/cpu/matmul_block.h"

namespace bcai::vm {

// Lines of the input from `first` on, which may be outside, with the padding.
template <class S>
void copy_lines(const ConvolutionArgs& args, const WindowBlocks& blocks, int64_t image,
                int64_t first, float* to) {
  const int64_t line = blocks.width * args.channels;
  const int64_t left = args.pad_left * args.channels < line ? args.pad_left * args.channels : line;
  int64_t inside = args.width * args.channels;
  if (inside > line - left) inside = line - left;
  for (int64_t i = 0; i < blocks.height; ++i, to += line) {
    const int64_t row = first + i;
    if (row < 0 || row >= args.height) {
      fill_zero<S>(to, line);
      continue;
    }
    fill_zero<S>(to, left);
    copy<S>(args.input + (image * args.height + row) * args.width * args.channels, inside,
            to + left);
    fill_zero<S>(to + left + inside, line - left - inside);
  }
}

// Output lines [first, last) of an image against one panel.
template <class S>
void multiply_windows(const ConvolutionArgs& args, const MatMulArgs& product,
                      const WindowBlocks& blocks, int64_t image, int64_t first, int64_t last,
                      int64_t panel, const float* lines) {
  const int64_t width = panel_width(product.columns, panel);
  const EvenSplit tiles(args.output_width, tile_rows<S>(width));
  const int64_t step = tile_columns<S>(width, tiles.of(0));
  const float* b = product.b + panel * kPanelColumns * product.depth;
  const int64_t line_stride = blocks.width * args.channels;
  for (int64_t j = 0; j < width; j += step) {
    const int64_t column = panel * kPanelColumns + j;
    if (column >= product.columns) break;
    for (int64_t line = first; line < last; ++line) {
      const int64_t row = (image * args.output_height + line) * args.output_width;
      const Block block{.args = product,
                        .c = product.c,
                        .residual = product.epilogue.residual,
                        .row_begin = row,
                        .row_end = row + args.output_width,
                        .depth_begin = 0,
                        .depth_end = product.depth,
                        .a_rows = lines + (line - first) * args.stride_height * line_stride,
                        .a_stride = args.stride_width * args.channels};
      const TileArgs tile{.a_stride = block.a_stride,
                          .b = b + j,
                          .depth = args.kernel_width * args.channels,
                          .resume = false,
                          .ahead = reinterpret_cast<const char*>(b),
                          .ahead_step = 0,
                          .lines = args.kernel_height,
                          .line_stride = args.dilation_height * line_stride};
      for (int64_t t = 0; t < tiles.count; ++t) {
        run_tile<S>(block, panel_tile<S>(tiles.of(t), width), tile, row + tiles.first(t),
                    tiles.of(t), column, step);
      }
    }
  }
}

template <class S>
void run_windows(const ConvolutionArgs& args, int64_t begin, int64_t end, float* scratch) {
  const MatMulArgs product = convolution_matmul(args, 0);
  const WindowBlocks blocks(args);
  const int64_t panels = panel_count(product.columns);
  int64_t copied = -1;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t block = unit / panels;
    const int64_t image = block / blocks.count;
    const int64_t first = block % blocks.count * blocks.lines;
    const int64_t last =
        first + blocks.lines < args.output_height ? first + blocks.lines : args.output_height;
    if (block != copied) {
      copy_lines<S>(args, blocks, image, first * args.stride_height - args.pad_top, scratch);
    }
    copied = block;
    multiply_windows<S>(args, product, blocks, image, first, last, unit % panels, scratch);
  }
}

}  // namespace bcai::vm
