// SPDX-License-Identifier: Apache-2.0
// The words of attributes that choose. A value is the index into its words; indices are stored in
// programs and never reused.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bcai::vm {

enum class Activation : uint8_t {
  kNone,
  kRelu,
  kGeluErf,
  kGeluTanh,
  kSilu,
  kSigmoid,
  kTanh,
  kHardSwish,
};
inline constexpr std::array<std::string_view, 8> kActivationWords = {
    "none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "hard_swish"};

enum class Gelu : uint8_t { kErf, kTanh };
inline constexpr std::array<std::string_view, 2> kGeluWords = {"erf", "tanh"};

enum class Predicate : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };
inline constexpr std::array<std::string_view, 6> kPredicateWords = {"eq", "ne", "lt",
                                                                    "le", "gt", "ge"};

enum class PadMode : uint8_t { kConstant, kReflect, kEdge };
inline constexpr std::array<std::string_view, 3> kPadModeWords = {"constant", "reflect", "edge"};

enum class OutOfRange : uint8_t { kTrap, kClamp };
inline constexpr std::array<std::string_view, 2> kOutOfRangeWords = {"trap", "clamp"};

enum class Rounding : uint8_t { kFloor, kCeil };
inline constexpr std::array<std::string_view, 2> kRoundingWords = {"floor", "ceil"};

enum class ResizeMode : uint8_t { kNearest, kLinear };
inline constexpr std::array<std::string_view, 2> kResizeModeWords = {"nearest", "linear"};

enum class Coordinates : uint8_t { kHalfPixel, kPytorchHalfPixel, kAlignCorners, kAsymmetric };
inline constexpr std::array<std::string_view, 4> kCoordinateWords = {
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"};

enum class Nearest : uint8_t { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil };
inline constexpr std::array<std::string_view, 4> kNearestWords = {
    "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

enum class Largest : uint8_t { kLargest, kSmallest };
inline constexpr std::array<std::string_view, 2> kLargestWords = {"largest", "smallest"};

enum class Direction : uint8_t { kForward, kReverse, kBidirectional };
inline constexpr std::array<std::string_view, 3> kDirectionWords = {"forward", "reverse",
                                                                    "bidirectional"};

}  // namespace bcai::vm
