// SPDX-License-Identifier: Apache-2.0
// Range and Content-Range (RFC 9110, section 14), of bytes and one range only.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace bcai::coordinator {

struct RangeAnswer {
  enum class Kind : uint8_t { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  int64_t offset = 0;
  int64_t bytes = 0;
};

// What a Range header asks of `size` bytes. One that cannot be read, or names several ranges, asks
// for the whole, as the RFC allows.
RangeAnswer read_range(std::string_view header, int64_t size);

struct ContentRange {
  int64_t offset = 0;
  int64_t bytes = 0;
  int64_t total = 0;  // offset + bytes <= total
};

// "bytes a-b/total".
Result<ContentRange> parse_content_range(std::string_view header);

}  // namespace bcai::coordinator
