// SPDX-License-Identifier: Apache-2.0
// numerics_exhaustive [FUNCTION...]: every unary function of profile n1 over all 2^32 floats,
// against the double functions of libm. Prints, for docs/formats/numerics_n1.md, the worst error in
// units of the last place, where it is, how many results are not the nearest float, and a sum over
// all results that another implementation can be compared by. With --levels, instead: whether all
// SIMD levels of this machine give that sum. Minutes for each function.
#include <fmt/core.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "vm/numerics/elementary_table.h"

namespace bcai::vm {
namespace {

struct Oracle {
  std::string_view name;
  double (*exact)(double);
  // Below, errors are not measured in units of the last place: the formula itself loses them.
  float measured_from = -std::numeric_limits<float>::infinity();
};

constexpr double kRootHalf = 0.70710678118654752440;

constexpr Oracle kOracles[] = {
    {"exp", [](double x) { return std::exp(x); }},
    {"log", [](double x) { return std::log(x); }},
    {"tanh", [](double x) { return std::tanh(x); }},
    {"erf", [](double x) { return std::erf(x); }},
    {"sin", [](double x) { return std::sin(x); }},
    {"cos", [](double x) { return std::cos(x); }},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
    {"silu", [](double x) { return x < -700 ? -0.0 : x / (1 + std::exp(-x)); }, -87.0f},
    {"softplus", [](double x) { return (x < 0 ? 0 : x) + std::log1p(std::exp(-std::fabs(x))); }},
    {"gelu_erf", [](double x) { return x < -40 ? -0.0 : 0.5 * x * std::erfc(-x * kRootHalf); },
     0.0f},
    {"gelu_tanh",
     [](double x) {
       const double inner = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
       return x < -40 ? -0.0 : x / (1 + std::exp(-2 * inner));
     },
     0.0f},
    {"recip", [](double x) { return 1 / x; }},
    {"sqrt", [](double x) { return std::sqrt(x); }},
    {"rsqrt", [](double x) { return 1 / std::sqrt(x); }},
    {"round", [](double x) { return std::nearbyint(x); }},
    {"floor", [](double x) { return std::floor(x); }},
};

struct Findings {
  double ulp_max = 0;
  float ulp_at = 0;
  double absolute_max = 0;
  float absolute_at = 0;
  uint64_t not_nearest = 0;
  uint64_t wrong_kind = 0;
  float wrong_at = 0;
};

// The spacing of floats at v, as if exponents had no upper end.
double spacing(double v) {
  int exponent;
  std::frexp(v, &exponent);
  return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

void compare(float x, float y, double exact, float measured_from, Findings& findings) {
  const auto nearest = static_cast<float>(exact);
  const auto bits = std::bit_cast<uint32_t>(y);
  if (std::isnan(exact) || std::isnan(y)) {
    const bool right = std::isnan(exact) && bits == 0x7fc00000;
    if (!right && findings.wrong_kind++ == 0) findings.wrong_at = x;
    return;
  }
  if (bits == std::bit_cast<uint32_t>(nearest)) return;
  findings.not_nearest++;
  if (std::signbit(y) != std::signbit(exact) && findings.wrong_kind++ == 0) findings.wrong_at = x;
  if (std::isinf(exact)) {
    if (findings.wrong_kind++ == 0) findings.wrong_at = x;
    return;
  }
  const double value = std::isinf(y) ? std::copysign(0x1p128, y) : y;
  const double error = std::fabs(value - exact);
  if (error > findings.absolute_max) {
    findings.absolute_max = error;
    findings.absolute_at = x;
  }
  const double ulp = error / spacing(exact);
  if (ulp > findings.ulp_max && x >= measured_from) {
    findings.ulp_max = ulp;
    findings.ulp_at = x;
  }
}

// The finaliser of splitmix64.
uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr uint32_t kChunk = 1 << 16;

// The sum, modulo 2^64, of mixed(bits of x * 2^32 + bits of f(x)) over all x.
uint64_t walk(const UnaryFunction& function, const Oracle* oracle, Findings& findings) {
  std::vector<float> x(kChunk), y(kChunk);
  uint64_t sum = 0;
  for (uint64_t start = 0; start < (uint64_t{1} << 32); start += kChunk) {
    for (uint32_t i = 0; i < kChunk; ++i) {
      x[i] = std::bit_cast<float>(static_cast<uint32_t>(start) + i);
    }
    function.apply(x.data(), y.data(), kChunk);
    for (uint32_t i = 0; i < kChunk; ++i) {
      sum += mixed((start + i) << 32 | std::bit_cast<uint32_t>(y[i]));
      if (oracle == nullptr) continue;
      compare(x[i], y[i], oracle->exact(x[i]), oracle->measured_from, findings);
    }
  }
  return sum;
}

const Oracle* oracle_of(std::string_view name) {
  for (const auto& oracle : kOracles) {
    if (oracle.name == name) return &oracle;
  }
  return nullptr;
}

void report(size_t index) {
  const auto& function = elementary_functions(detect_simd_level()).unary[index];
  Findings findings;
  const uint64_t sum = walk(function, oracle_of(function.name), findings);
  fmt::print("{:<12} sum {:016x}  ulp {:.4f} at {:a}  absolute {:.3g} at {:a}  not nearest {}",
             function.name, sum, findings.ulp_max, findings.ulp_at, findings.absolute_max,
             findings.absolute_at, findings.not_nearest);
  if (findings.wrong_kind > 0) {
    fmt::print("  WRONG KIND {} first at {:a}", findings.wrong_kind, findings.wrong_at);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

bool levels_agree(size_t index) {
  Findings none;
  bool equal = true;
  uint64_t expected = 0;
  for (auto level : {SimdLevel::kAvx512, SimdLevel::kAvx2, SimdLevel::kPortable}) {
    if (!has_simd_level(level)) continue;
    const auto& function = elementary_functions(level).unary[index];
    const uint64_t sum = walk(function, nullptr, none);
    fmt::print("{:<12} {:<8} sum {:016x}\n", function.name, simd_level_name(level), sum);
    std::fflush(stdout);
    if (expected == 0) expected = sum;
    equal = equal && sum == expected;
  }
  return equal;
}

}  // namespace
}  // namespace bcai::vm

int main(int argc, char** argv) {
  using namespace bcai::vm;
  std::vector<std::string_view> wanted(argv + 1, argv + argc);
  const bool levels = !wanted.empty() && wanted[0] == "--levels";
  if (levels) wanted.erase(wanted.begin());
  bool equal = true;
  const auto unary = elementary_functions(SimdLevel::kPortable).unary;
  for (size_t i = 0; i < unary.size(); ++i) {
    bool chosen = wanted.empty();
    for (auto name : wanted) chosen = chosen || name == unary[i].name;
    if (!chosen) continue;
    if (levels) {
      equal = levels_agree(i) && equal;
    } else {
      report(i);
    }
  }
  return equal ? 0 : 1;
}
