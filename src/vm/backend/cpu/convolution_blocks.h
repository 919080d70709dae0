// SPDX-License-Identifier: Apache-2.0
// A convolution as a matmul whose rows are pixels and whose depth are taps.
#pragma once

#include "vm/backend/cpu/convolution.h"
#include "vm/backend/cpu/matmul.h"

namespace bcai::vm {

// Every channel is a group of its own: its kernel runs over channels instead of panels.
constexpr BCAI_INLINE bool convolution_is_depthwise(const ConvolutionArgs& args) {
  return args.groups == args.channels && args.output_channels == args.channels && args.groups > 1;
}

// The matmul of one group. Where a pixel is a row of the input as it lies, A is the input; else its
// rows are to be gathered. Before the arguments have addresses: that of group 0, for its sizes.
MatMulArgs convolution_matmul(const ConvolutionArgs& args, int64_t group);

// Whether windows are read where they lie in a copy of a few lines of the input with its padding,
// instead of being laid side by side first: where all taps of a line follow each other, enough
// windows of a line make a tile, and a panel of weights stays in L2.
bool convolution_reads_windows(const ConvolutionArgs& args);

// How that is cut: units are blocks of output lines of one image by panels.
struct WindowBlocks {
  explicit WindowBlocks(const ConvolutionArgs& args);
  int64_t lines;   // of output, in a block
  int64_t count;   // blocks of one image
  int64_t height;  // lines of the copy
  int64_t width;   // pixels of a line of the copy
  int64_t floats() const { return height * width * channels; }
  int64_t channels;
};

// Floats of one group's panels.
int64_t convolution_group_floats(const ConvolutionArgs& args);

}  // namespace bcai::vm
