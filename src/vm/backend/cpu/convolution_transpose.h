// SPDX-License-Identifier: Apache-2.0
// The transpose of a convolution, of NHWC images in f32: every output element is one chain from +0
// with a fused multiply-add for each tap that reaches it, in ascending (kh, kw, ci). A tap reaches
// output o from input i where o + pad = i * stride + tap * dilation; what has no such input is left
// out, not added as zeros. The epilogue follows as in matmul.
#pragma once

#include "vm/backend/cpu/convolution.h"

namespace bcai::vm {

// Sizes as in ConvolutionArgs, of this instruction's input and output; `weights` is written by
// convolution_transpose_pack().
int64_t convolution_transpose_packed_floats(const ConvolutionArgs& args);

// Weight (input channel i, output channel o of its group, tap) is at data[(i * outputs per group +
// o) * taps + tap]. The same for every level.
void convolution_transpose_pack(const ConvolutionArgs& args, const float* data, float* packed);

// Whether each output is reached by one tap, as where the kernel is as large as the stride. Then a
// line of input gives kernel_height lines of output, by one product with all taps side by side.
bool convolution_transpose_spreads(const ConvolutionArgs& args);

// Independent pieces: lines of output, or of input that spreads.
int64_t convolution_transpose_units(const ConvolutionArgs& args);

// What one call of run() needs, aligned to 64 bytes; the same for every level and range.
int64_t convolution_transpose_scratch_bytes(const ConvolutionArgs& args);

struct ConvolutionTransposeKernels {
  void (*run)(const ConvolutionArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const ConvolutionTransposeKernels& convolution_transpose_kernels(SimdLevel level);

}  // namespace bcai::vm
