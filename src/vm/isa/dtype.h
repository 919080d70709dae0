// SPDX-License-Identifier: Apache-2.0
// Element types. Codes are stored in programs and never reused.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bcai::vm {

enum class DType : uint8_t {
  kF32 = 1,
  kF16 = 2,   // storage: only Cast and data movement read it
  kBF16 = 3,  // storage
  kI64 = 4,
  kI32 = 5,
  kI8 = 6,
  kU8 = 7,
  kBool = 8,  // one byte, 0 or 1
};

int64_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);  // "f32"
std::optional<DType> parse_dtype(std::string_view name);
bool is_dtype(uint64_t code);

class DTypeSet {
 public:
  constexpr DTypeSet() = default;
  template <typename... Rest>
  constexpr explicit DTypeSet(DType first, Rest... rest)
      : bits_(static_cast<uint16_t>((bit(first) | ... | bit(rest)))) {}
  constexpr bool contains(DType dtype) const { return (bits_ & bit(dtype)) != 0; }

 private:
  static constexpr uint16_t bit(DType dtype) {
    return static_cast<uint16_t>(1U << static_cast<unsigned>(dtype));
  }
  uint16_t bits_ = 0;
};

inline constexpr DTypeSet kF32Only{DType::kF32};
inline constexpr DTypeSet kBoolOnly{DType::kBool};
inline constexpr DTypeSet kIndex{DType::kI64, DType::kI32};
inline constexpr DTypeSet kInteger{DType::kI64, DType::kI32, DType::kI8, DType::kU8};
inline constexpr DTypeSet kNumber{DType::kF32, DType::kI64, DType::kI32, DType::kI8, DType::kU8};
inline constexpr DTypeSet kSignedNumber{DType::kF32, DType::kI64, DType::kI32, DType::kI8};
inline constexpr DTypeSet kIntegerOrBool{DType::kI64, DType::kI32, DType::kI8, DType::kU8,
                                         DType::kBool};
inline constexpr DTypeSet kComputed{DType::kF32, DType::kI64, DType::kI32,
                                    DType::kI8,  DType::kU8,  DType::kBool};
inline constexpr DTypeSet kAny{DType::kF32, DType::kF16, DType::kBF16, DType::kI64,
                               DType::kI32, DType::kI8,  DType::kU8,   DType::kBool};

}  // namespace bcai::vm
