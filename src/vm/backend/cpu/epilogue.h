// SPDX-License-Identifier: Apache-2.0
// What a matmul or a convolution does to an output element after its last FMA: add the bias, apply
// the activation, add the residual, cut off what is negative. Each rounds separately, so that the
// fused kernel and the instructions it stands for give the same bits.
#pragma once

#include <cstdint>

namespace bcai::vm {

enum class EpilogueActivation : uint8_t {
  kNone,
  kRelu,
  kGeluErf,
  kGeluTanh,
  kSilu,
  kSigmoid,
  kTanh,
  kClamp,
  kHardSwish,
  kHardSigmoid,
};

// Null pointers leave their step out.
struct Epilogue {
  const float* bias = nullptr;  // [columns]
  EpilogueActivation activation = EpilogueActivation::kNone;
  float low = 0;  // of kClamp
  float high = 0;
  float slope = 0.2f;  // of kHardSigmoid: clamp(slope * x + offset, 0, 1)
  float offset = 0.5f;
  const float* residual = nullptr;  // [rows, columns]; may not overlap the output
  int64_t residual_stride = 0;      // floats from row to row
  bool relu_last = false;           // of the sum with the residual
};

}  // namespace bcai::vm
