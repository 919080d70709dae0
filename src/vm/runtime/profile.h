// SPDX-License-Identifier: Apache-2.0
// Where the time of runs goes, launch by launch. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vm/plan/plan.h"

namespace bcai::vm {

// Nanoseconds from some moment on. A launch takes microseconds, for which base/clock.h is too
// coarse.
int64_t monotonic_ns();

class Profile {
 public:
  // Times are monotonic_ns().
  void add(const Launch& launch, int64_t begin, int64_t end);
  void clear() { spans_.clear(); }

  struct Span {
    std::string name;
    int64_t step;
    uint64_t flops;
    uint64_t bytes;
    int64_t begin;
    int64_t end;
  };
  const std::vector<Span>& spans() const { return spans_; }  // in the order of adding

  // A line for each kind of launch, the dearest first: time, share, GFLOP/s and GB/s.
  std::string table() const;
  // For chrome://tracing and Perfetto.
  std::string chrome_trace() const;

 private:
  std::vector<Span> spans_;
};

}  // namespace bcai::vm
