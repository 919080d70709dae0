// SPDX-License-Identifier: Apache-2.0
// Where the time of runs goes, launch by launch. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "vm/plan/plan.h"

namespace bcai::vm {

class Profile {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void add(const Launch& launch, Time begin, Time end);
  void clear() { spans_.clear(); }

  // A line for each kind of launch, the dearest first: time, share, GFLOP/s and GB/s.
  std::string table() const;
  // For chrome://tracing and Perfetto.
  std::string chrome_trace() const;

 private:
  struct Span {
    std::string name;
    int64_t step;
    uint64_t flops;
    uint64_t bytes;
    Time begin;
    Time end;
  };
  std::vector<Span> spans_;
};

}  // namespace bcai::vm
