// SPDX-License-Identifier: Apache-2.0
// Valid random programs, for tests: every instruction, regions, calls and states, sizes 0 and 1,
// broadcasting and views. The same seed gives the same program and the same tensors everywhere.
#pragma once

#include <cstdint>

#include "vm/program/program.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm {

// SplitMix64: small, and the same on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // In [0, n), n > 0.
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }

 private:
  uint64_t state_;
};

struct GeneratorOptions {
  int instructions = 12;        // in main's own region, roughly
  int64_t elements_max = 3000;  // of a tensor
  int traps_percent = 2;        // of the indices and positions, that are outside
};

// Accepted by the verifier; without symbols.
Program random_program(uint64_t seed, const GeneratorOptions& options = {});

// Small numbers, and sometimes zeros of both signs, infinities, NaN and denormals. Bool is 0 or 1.
Tensor random_tensor(const Type& type, uint64_t seed);
// One for each argument of main.
std::vector<Tensor> random_inputs(const Program& program, uint64_t seed);

}  // namespace bcai::vm
