// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution_transpose.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ConvolutionTransposeKernels, kConvolutionTransposeKernels)

const ConvolutionTransposeKernels& convolution_transpose_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kConvolutionTransposeKernels);
}

int64_t convolution_transpose_packed_floats(const ConvolutionArgs& args) {
  return args.groups * args.kernel_height * args.kernel_width *
         panel_floats(args.channels / args.groups, args.output_channels / args.groups);
}

void convolution_transpose_pack(const ConvolutionArgs& args, const float* data, float* packed) {
  const int64_t taps = args.kernel_height * args.kernel_width;
  const int64_t inputs = args.channels / args.groups;
  const int64_t outputs = args.output_channels / args.groups;
  for (int64_t group = 0; group < args.groups; ++group, data += inputs * outputs * taps) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t panel = 0; panel < panel_count(outputs); ++panel) {
        const int64_t width = panel_width(outputs, panel);
        for (int64_t i = 0; i < inputs; ++i) {
          for (int64_t j = 0; j < width; ++j) {
            const int64_t o = panel * kPanelColumns + j;
            *packed++ = o < outputs ? data[(i * outputs + o) * taps + tap] : 0.0f;
          }
        }
      }
    }
  }
}

int64_t convolution_transpose_units(const ConvolutionArgs& args) {
  return args.batch * args.output_height;
}

int64_t convolution_transpose_scratch_bytes(const ConvolutionArgs& args) {
  const int64_t panels = panel_count(args.output_channels / args.groups);
  return args.output_width * panels * kPanelColumns * int64_t{sizeof(float)};
}

}  // namespace bcai::vm
