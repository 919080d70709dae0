// SPDX-License-Identifier: Apache-2.0
// Which attributes an instruction takes: the names in the `attributes` column of instructions.def.
#pragma once

#include <vector>

#include "vm/isa/attribute.h"

namespace bcai::vm::attribute_lists {

using AttributeList = const std::vector<AttributeSpec>;

extern AttributeList kNone, kFill, kAxis, kAxes, kPermutation, kSlice, kSplit, kPad, kApproximate,
    kHardSigmoid, kLeakyRelu, kClamp, kPredicate, kReduce, kArgReduce, kScan, kTopK, kMatMul,
    kConvolution, kConvolutionTranspose, kMaxPool, kAveragePool, kResize, kSoftmax, kEpsilon,
    kGroupNorm, kAttention, kRotary, kOutOfRange, kGather, kRecurrent, kGru, kRepeat;

}  // namespace bcai::vm::attribute_lists
