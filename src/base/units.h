// SPDX-License-Identifier: Apache-2.0
// Quantities as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace bcai {

// "8GB" is 8·10⁹ and "8GiB" is 8·2³⁰; a bare number is bytes. Fractions are allowed: "1.5GB".
Result<int64_t> parse_bytes(std::string_view text);
// "8 GB", "1.5 GB", "512 B": powers of 1000, at most one decimal.
std::string format_bytes(int64_t bytes);

// "90s", "15m", "2h", "1d", "250ms"; a bare number is seconds.
Result<Millis> parse_duration(std::string_view text);
// "250 ms", "1.5 s", "2 m 5 s", "1 h 4 m".
std::string format_duration(Millis duration);

}  // namespace bcai
