// SPDX-License-Identifier: Apache-2.0
// How long to wait before asking again: doubles from `first` to `most`, each time a random part of
// it, so that nodes which lost the coordinator together do not come back together.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"

namespace bcai::node {

class Backoff {
 public:
  Backoff(Millis first, Millis most) : first_(first), most_(most), next_(first) {}

  // At least half of the current step and never less than what the other side asked for.
  Millis next(Random& random, Millis asked = Millis(0)) {
    const auto half = static_cast<uint64_t>(next_.count() / 2);
    const Millis pause(static_cast<int64_t>(half + random.below(half + 1)));
    next_ = std::min(most_, next_ * 2);
    return std::max(pause, std::min(asked, Millis(300'000)));
  }
  void reset() { next_ = first_; }

 private:
  Millis first_;
  Millis most_;
  Millis next_;
};

}  // namespace bcai::node
