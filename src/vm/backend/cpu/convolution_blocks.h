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
// rows are to be gathered.
MatMulArgs convolution_matmul(const ConvolutionArgs& args, int64_t group);

// Floats of one group's panels.
int64_t convolution_group_floats(const ConvolutionArgs& args);

}  // namespace bcai::vm
