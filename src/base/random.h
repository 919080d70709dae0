// SPDX-License-Identifier: Apache-2.0
// Where random bytes come from. Deterministic code takes a Random&, so that a simulation can be
// repeated from its seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace bcai {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<uint8_t> out) = 0;

  uint64_t next() {
    uint8_t bytes[8];
    fill(bytes);
    uint64_t value = 0;
    for (uint8_t byte : bytes) value = value << 8 | byte;
    return value;
  }
  // Uniform in [0, bound) but for a bias below bound / 2^64. bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
};

// The kernel's generator. Thread-safe.
class SystemRandom final : public Random {
 public:
  void fill(std::span<uint8_t> out) override;
};

// Repeatable, for tests and the simulation. Not for keys.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace bcai
