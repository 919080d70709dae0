// SPDX-License-Identifier: Apache-2.0
// What reader and writer of the binary form share.
#pragma once

#include <cstdint>
#include <string_view>

namespace bcai::vm {

inline constexpr std::string_view kBinaryMagic = "BCVM";
inline constexpr uint8_t kProfileN1 = 1;

// In this order, each once, all present. 1 is kept for declared limits.
enum class Section : uint8_t {
  kSymbols = 2,
  kTypes = 3,
  kFiles = 4,
  kParams = 5,
  kConstants = 6,
  kFunctions = 7,
  kCheckpoints = 8,
  kCustom = 9,  // any number, not part of the program
};

inline constexpr uint8_t kStateFlag = 0x80;  // beside a type's dtype

}  // namespace bcai::vm
