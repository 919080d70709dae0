// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/convolution_transpose.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ConvolutionTransposeKernels, kConvolutionTransposeKernels)

const ConvolutionTransposeKernels& convolution_transpose_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kConvolutionTransposeKernels);
}

bool convolution_transpose_spreads(const ConvolutionArgs& args) {
  return args.groups == 1 && args.kernel_height == args.stride_height &&
         args.kernel_width == args.stride_width && args.dilation_height == 1 &&
         args.dilation_width == 1 && args.pad_top == 0 && args.pad_left == 0 &&
         args.output_height == args.height * args.stride_height &&
         args.output_width == args.width * args.stride_width;
}

int64_t convolution_transpose_packed_floats(const ConvolutionArgs& args) {
  if (convolution_transpose_spreads(args)) {
    return panel_floats(args.channels,
                        args.kernel_height * args.kernel_width * args.output_channels);
  }
  return args.groups * args.kernel_height * args.kernel_width *
         panel_floats(args.channels / args.groups, args.output_channels / args.groups);
}

void convolution_transpose_pack(const ConvolutionArgs& args, const float* data, float* packed) {
  const int64_t taps = args.kernel_height * args.kernel_width;
  const int64_t inputs = args.channels / args.groups;
  const int64_t outputs = args.output_channels / args.groups;
  if (convolution_transpose_spreads(args)) {
    for (int64_t panel = 0; panel < panel_count(taps * outputs); ++panel) {
      const int64_t width = panel_width(taps * outputs, panel);
      for (int64_t i = 0; i < inputs; ++i) {
        for (int64_t column = panel * kPanelColumns; column < panel * kPanelColumns + width;
             ++column) {
          const int64_t tap = column / outputs, o = column % outputs;
          *packed++ = tap < taps ? data[(i * outputs + o) * taps + tap] : 0.0f;
        }
      }
    }
    return;
  }
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
  return args.batch * (convolution_transpose_spreads(args) ? args.height : args.output_height);
}

int64_t convolution_transpose_scratch_bytes(const ConvolutionArgs& args) {
  if (convolution_transpose_spreads(args)) {
    const int64_t columns = args.kernel_height * args.kernel_width * args.output_channels;
    return (args.width * round_up(columns, 16) +
            2 * round_up(args.output_width * args.output_channels, 16)) *
           int64_t{sizeof(float)};
  }
  const int64_t panels = panel_count(args.output_channels / args.groups);
  return args.output_width * panels * kPanelColumns * int64_t{sizeof(float)};
}

}  // namespace bcai::vm
