// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/reduction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "vm/backend/cpu/simd_levels_test.h"

namespace bcai::vm {
namespace {

constexpr ReductionKind kKinds[] = {ReductionKind::kSum,     ReductionKind::kMean,
                                    ReductionKind::kProduct, ReductionKind::kMax,
                                    ReductionKind::kMin,     ReductionKind::kArgMax};

// Rule R4 as it is written, in scalars: what another implementation would do.
float by_the_rule(const std::vector<float>& terms, bool product) {
  const float neutral = product ? 1.0f : 0.0f;
  const auto of = [=](float a, float b) { return product ? a * b : a + b; };
  std::vector<float> blocks;
  for (size_t start = 0; start < terms.size(); start += 4096) {
    std::vector<float> lane(16, neutral);
    for (size_t i = start; i < std::min(terms.size(), start + 4096); ++i) {
      lane[(i - start) % 16] = of(lane[(i - start) % 16], terms[i]);
    }
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t l = 0; l < half; ++l) lane[l] = of(lane[l], lane[l + half]);
    }
    blocks.push_back(lane[0]);
  }
  return blocks.size() == 1 ? blocks[0] : by_the_rule(blocks, product);
}

int64_t expected(ReductionKind kind, const std::vector<float>& terms) {
  float value = 0;
  size_t first = 0;
  switch (kind) {
    case ReductionKind::kSum:
    case ReductionKind::kMean:
      value = by_the_rule(terms, false);
      if (kind == ReductionKind::kMean) value /= static_cast<float>(terms.size());
      break;
    case ReductionKind::kProduct: value = by_the_rule(terms, true); break;
    default:
      for (size_t i = 0; i < terms.size() && !std::isnan(terms[first]); ++i) {
        const float v = kind == ReductionKind::kMin ? -terms[i] : terms[i];
        const float best = kind == ReductionKind::kMin ? -terms[first] : terms[first];
        if (std::isnan(v) || v > best) first = i;
      }
      if (kind == ReductionKind::kArgMax) return static_cast<int64_t>(first);
      value = terms[first] == 0 ? 0.0f : terms[first];
  }
  return std::isnan(value) ? 0x7fc00000 : std::bit_cast<uint32_t>(value);
}

void check(const std::vector<int64_t>& dims, const std::vector<int>& axes, bool special,
           std::span<const ReductionKind> kinds = kKinds) {
  int64_t size = 1;
  for (auto d : dims) size *= d;
  const auto x = test_floats(static_cast<size_t>(size), special, static_cast<uint32_t>(size));
  // The terms of every output, by walking x in row-major order.
  std::vector<int64_t> kept_stride(dims.size(), 0);
  int64_t outputs = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    if (std::find(axes.begin(), axes.end(), static_cast<int>(d)) != axes.end()) continue;
    kept_stride[d] = outputs;
    outputs *= dims[d];
  }
  std::vector<std::vector<float>> terms(static_cast<size_t>(outputs));
  for (int64_t i = 0; i < size; ++i) {
    int64_t rest = i, output = 0;
    for (size_t d = dims.size(); d-- > 0;) {
      output += rest % dims[d] * kept_stride[d];
      rest /= dims[d];
    }
    terms[static_cast<size_t>(output)].push_back(x[static_cast<size_t>(i)]);
  }
  for (auto kind : kinds) {
    for (auto level : levels_here()) {
      std::vector<int64_t> y(static_cast<size_t>(outputs));
      auto args = reduction_args(kind, x.data(), y.data(), dims, axes);
      ASSERT_TRUE(args.has_value());
      ASSERT_EQ(reduction_units(*args), outputs);
      std::vector<std::byte> scratch(static_cast<size_t>(reduction_scratch_bytes(*args)));
      const int64_t cut = outputs / 3;
      reduction_kernels(level).run(*args, cut, outputs, scratch.data());
      reduction_kernels(level).run(*args, 0, cut, scratch.data());
      for (size_t o = 0; o < terms.size(); ++o) {
        const int64_t got =
            kind == ReductionKind::kArgMax ? y[o] : reinterpret_cast<const uint32_t*>(y.data())[o];
        ASSERT_EQ(got, expected(kind, terms[o]))
            << simd_level_name(level) << " kind " << static_cast<int>(kind) << " output " << o
            << " of " << terms[o].size() << " terms";
      }
    }
  }
}

TEST(Reduction, follows_the_rules_over_any_axes) {
  for (bool special : {false, true}) {
    for (int64_t n = 1; n <= 70; ++n) {
      check({3, n}, {1}, special);
      check({n, 5}, {0}, special);
      check({2, n, 21}, {1}, special);
    }
    check({2, 3, 4, 5}, {1, 2}, special);
    check({2, 3, 4, 5}, {0, 2}, special);
    check({2, 3, 4, 5}, {1, 3}, special);
    check({2, 3, 4, 5}, {0, 1, 2, 3}, special);
    check({2, 3, 4, 5}, {}, special);
    check({4, 1, 7, 1}, {1, 2}, special);
  }
}

TEST(Reduction, follows_the_rules_over_several_blocks) {
  check({2, 4096}, {1}, false);
  check({2, 4097}, {1}, false);
  check({3, 100000}, {1}, false);
  check({9000, 19}, {0}, false);
  check({5, 3, 2000}, {0, 2}, false);
  // More than 4096 blocks: the blocks of blocks.
  const ReductionKind sum[] = {ReductionKind::kSum};
  check({4096 * 4096 + 5000}, {0}, false, sum);
}

TEST(Reduction, refuses_axes_that_are_not_there) {
  const std::vector<int64_t> dims = {2, 3};
  for (const auto& axes : {std::vector<int>{2}, std::vector<int>{-1}, std::vector<int>{1, 1},
                           std::vector<int>{1, 0}}) {
    EXPECT_FALSE(reduction_args(ReductionKind::kSum, nullptr, nullptr, dims, axes).has_value());
  }
  const std::vector<int64_t> empty = {2, 0};
  const std::vector<int> last = {1};
  EXPECT_FALSE(reduction_args(ReductionKind::kSum, nullptr, nullptr, empty, last).has_value());
}

}  // namespace
}  // namespace bcai::vm
