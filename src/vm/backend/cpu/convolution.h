// SPDX-License-Identifier: Apache-2.0
// Forward convolution of NHWC images in f32 with the bits of numeric profile n1: every output
// element is one chain from +0 with a fused multiply-add per tap, in ascending (kh, kw, ci). A tap
// in the padding counts as +0 * w. The epilogue follows as in matmul. One dimension is a height
// of 1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/epilogue.h"
#include "vm/backend/cpu/panel.h"
#include "vm/numerics/simd_level.h"

namespace bcai::vm {

struct ConvolutionArgs {
  int64_t batch = 1;
  int64_t height = 1;  // of the input, as width and channels
  int64_t width = 1;
  int64_t channels = 1;
  int64_t output_height = 1;  // as the caller's shape rule has it; the padding below and right of
  int64_t output_width = 1;   // the input follows from it
  int64_t output_channels = 1;
  int64_t groups = 1;  // divides both channels
  int64_t kernel_height = 1;
  int64_t kernel_width = 1;
  int64_t stride_height = 1;
  int64_t stride_width = 1;
  int64_t dilation_height = 1;
  int64_t dilation_width = 1;
  int64_t pad_top = 0;
  int64_t pad_left = 0;
  const float* input = nullptr;
  const float* weights = nullptr;       // written by pack()
  const float* next_weights = nullptr;  // as of a matmul
  float* output = nullptr;              // overlaps no operand
  Epilogue epilogue;                    // rows are pixels, columns are output channels
};

// Where weight (o, h, w, i) is, i counted within its group; strides in floats. OIHW and OHWI are
// both given so.
struct ConvolutionWeights {
  const float* data;
  int64_t output_stride;
  int64_t height_stride;
  int64_t width_stride;
  int64_t input_stride;
};

int64_t convolution_packed_floats(const ConvolutionArgs& args);

// Writes convolution_packed_floats() floats; only the sizes of `args` are read. The same for every
// level.
void convolution_pack(const ConvolutionArgs& args, const ConvolutionWeights& weights,
                      float* packed);

// Independent pieces: rows of pixels by panels of channels; where every channel is a group of its
// own, lines of output.
int64_t convolution_units(const ConvolutionArgs& args);

// What one call of run() needs, aligned to 64 bytes; the same for every level and range.
int64_t convolution_scratch_bytes(const ConvolutionArgs& args);

struct ConvolutionKernels {
  void (*run)(const ConvolutionArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const ConvolutionKernels& convolution_kernels(SimdLevel level);

}  // namespace bcai::vm
