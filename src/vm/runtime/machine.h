// SPDX-License-Identifier: Apache-2.0
// How long kinds of work take on this machine, measured once, and what a plan will therefore take:
// the time in a quote.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "vm/numerics/simd_level.h"
#include "vm/plan/plan.h"

namespace bcai::vm {

// What a launch does in one of the profile's units: "TensorMatMul" in FLOPs, "map Exp" in elements,
// "Transpose" in bytes.
struct Effort {
  std::string kind;
  double amount = 0;
};
std::vector<Effort> efforts_of(const Launch& launch);

struct Estimate {
  double ns = 0;
  std::vector<std::string> unknown;  // kinds of launches that were not measured
  double unknown_ns = 0;             // a unit of theirs counts as much: the slowest rate there is
  std::vector<double> launch_ns;     // in the order of the steps
};

// Immutable; any thread.
class MachineProfile {
 public:
  // Runs small programs, one kind of work each: about two seconds.
  static Result<MachineProfile> measure(SimdLevel level, int threads);

  // What the profile depends on besides the measurement: processor, level, threads, kernels. A kept
  // profile of another identity is of another machine.
  static std::string identity(SimdLevel level, int threads);

  Estimate estimate(const Plan& plan) const;

  json::value encode() const;
  static std::optional<MachineProfile> decode(const json::value& value,
                                              std::vector<Finding>* findings);
  const std::string& identity() const { return identity_; }
  SimdLevel level() const { return level_; }
  int threads() const { return threads_; }

 private:
  double ns_of(const Launch& launch, const Plan& plan, bool weights_from_memory,
               Estimate* estimate) const;

  std::string identity_;
  SimdLevel level_ = SimdLevel::kPortable;
  int threads_ = 1;
  std::map<std::string, double, std::less<>> ns_per_unit_;
  double ns_per_launch_ = 0;
  double ns_per_memory_byte_ = 0;  // of weights that the caches do not hold
};

}  // namespace bcai::vm
