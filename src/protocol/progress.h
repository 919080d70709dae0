// SPDX-License-Identifier: Apache-2.0
// How far a job says it is: a hint for people, never a ground for a decision.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/decode.h"

namespace bcai {

struct Progress {
  double fraction = -1;  // 0 to 1; -1 is unknown
  std::string message;
  std::map<std::string, double> metrics;  // the latest value of each
};

json::value encode(const Progress& progress);

// `pointer` is where the value stands in the message.
Progress decode_progress(const json::value& value, std::string pointer,
                         std::vector<Finding>* findings);

}  // namespace bcai
