// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/resample.h"

#include <cmath>

namespace bcai::vm::reference {

double sample_position(Coordinates coordinates, int64_t i, int64_t in, int64_t out) {
  const auto at = static_cast<double>(i);
  const double ratio = static_cast<double>(in) / static_cast<double>(out);
  switch (coordinates) {
    case Coordinates::kHalfPixel: return (at + 0.5) * ratio - 0.5;
    case Coordinates::kPytorchHalfPixel: return out > 1 ? (at + 0.5) * ratio - 0.5 : 0.0;
    case Coordinates::kAlignCorners:
      return out > 1 ? at * (static_cast<double>(in - 1) / static_cast<double>(out - 1)) : 0.0;
    case Coordinates::kAsymmetric: return at * ratio;
  }
  return 0;
}

double nearest_sample(Nearest rounding, double position) {
  const double down = std::floor(position);
  switch (rounding) {
    case Nearest::kRoundPreferFloor: return position - down <= 0.5 ? down : down + 1;
    case Nearest::kRoundPreferCeil: return position - down < 0.5 ? down : down + 1;
    case Nearest::kFloor: return down;
    case Nearest::kCeil: return std::ceil(position);
  }
  return 0;
}

}  // namespace bcai::vm::reference
