// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "vm/backend/cpu/kernel_test_data.h"
#include "vm/numerics/elementary_table.h"

namespace bcai::vm {
namespace {

struct AttentionProblem {
  AttentionArgs args;
  std::vector<float> q, k, v, mask;

  AttentionProblem(int64_t batch, int64_t heads, int64_t kv_heads, int64_t size, int64_t queries,
                   int64_t keys) {
    q = random_floats(batch * queries * heads * size, 1);
    k = random_floats(batch * keys * kv_heads * size, 2);
    v = random_floats(batch * keys * kv_heads * size, 3);
    for (float& x : q) x *= 4;
    args = {.batch = batch,
            .heads = heads,
            .kv_heads = kv_heads,
            .head_size = size,
            .queries = queries,
            .keys = keys,
            .q_stride = heads * size,
            .q_batch_stride = queries * heads * size,
            .k_stride = kv_heads * size,
            .k_batch_stride = keys * kv_heads * size,
            .v_stride = kv_heads * size,
            .v_batch_stride = keys * kv_heads * size,
            .output_stride = heads * size,
            .output_batch_stride = queries * heads * size,
            .scale = 0.37f};
  }
  void add_mask() {
    mask = random_floats(args.heads * args.queries * args.keys, 4);
    for (size_t i = 0; i < mask.size(); i += 7) mask[i] = -std::numeric_limits<float>::infinity();
    args.mask_head_stride = args.queries * args.keys;
    args.mask_query_stride = args.keys;
  }
};

std::vector<float> compute(const AttentionProblem& p, SimdLevel level, int64_t parts = 1) {
  std::vector<float> output(p.q.size(), -7);
  AttentionArgs args = p.args;
  args.q = p.q.data();
  args.k = p.k.data();
  args.v = p.v.data();
  args.mask = p.mask.empty() ? nullptr : p.mask.data();
  args.output = output.data();
  Scratch scratch(attention_scratch_bytes(args));
  run_in_parts(attention_units(args), parts, [&](int64_t begin, int64_t end) {
    attention_kernels(level).run(args, begin, end, scratch.get());
  });
  return output;
}

// exp of the portable level; its own test holds it to the other levels and to the exact value.
void exponential(std::vector<float>& x) {
  for (const UnaryFunction& f : elementary_functions(SimdLevel::kPortable).unary) {
    if (std::string_view(f.name) == "exp") {
      f.apply(x.data(), x.data(), static_cast<int64_t>(x.size()));
    }
  }
}

// Rule R4 for up to 4096 terms.
float sum(const std::vector<float>& x) {
  float lanes[16] = {};
  for (size_t i = 0; i < x.size(); ++i) lanes[i % 16] += x[i];
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

// One row by the definition in attention.h: `d` outputs.
void reference_row(const AttentionProblem& p, int64_t b, int64_t h, int64_t i, float* out) {
  const AttentionArgs& a = p.args;
  const int64_t kv_head = h / (a.heads / a.kv_heads);
  const float* q =
      &p.q[static_cast<size_t>(b * a.q_batch_stride + i * a.q_stride)] + h * a.head_size;
  const float* k = p.k.data() + b * a.k_batch_stride + kv_head * a.head_size;
  const float* v = p.v.data() + b * a.v_batch_stride + kv_head * a.head_size;
  std::vector<float> row;
  std::vector<int64_t> keys;
  for (int64_t j = 0; j < a.keys; ++j) {
    if (a.causal && j > a.offset + i) continue;
    if (a.window > 0 && j <= a.offset + i - a.window) continue;
    float s = 0;
    for (int64_t d = 0; d < a.head_size; ++d) s = std::fma(q[d], k[j * a.k_stride + d], s);
    s *= a.scale;
    if (!p.mask.empty()) s += p.mask[static_cast<size_t>((h * a.queries + i) * a.keys + j)];
    row.push_back(s);
    keys.push_back(j);
  }
  std::fill(out, out + a.head_size, 0.0f);
  if (row.empty()) return;
  const float largest = *std::max_element(row.begin(), row.end());
  if (largest == -std::numeric_limits<float>::infinity()) return;
  for (float& s : row) s -= largest;
  exponential(row);
  const float total = sum(row);
  for (int64_t d = 0; d < a.head_size; ++d) {
    float x = 0;
    for (size_t j = 0; j < row.size(); ++j) x = std::fma(row[j], v[keys[j] * a.v_stride + d], x);
    out[d] = x / total;
  }
}

std::vector<float> reference(const AttentionProblem& p) {
  std::vector<float> out(p.q.size());
  const AttentionArgs& a = p.args;
  for (int64_t b = 0; b < a.batch; ++b) {
    for (int64_t i = 0; i < a.queries; ++i) {
      for (int64_t h = 0; h < a.heads; ++h) {
        reference_row(
            p, b, h, i,
            out.data() + b * a.output_batch_stride + i * a.output_stride + h * a.head_size);
      }
    }
  }
  return out;
}

void expect_reference(const AttentionProblem& p) {
  const std::vector<float> expected = reference(p);
  for (SimdLevel level : machine_levels()) {
    for (int64_t parts : {1, 3}) {
      EXPECT_EQ(first_difference(compute(p, level, parts), expected), -1)
          << p.args.queries << " queries " << p.args.keys << " keys size " << p.args.head_size
          << " " << simd_level_name(level);
    }
  }
}

TEST(Attention, EqualsTheDefinitionForEveryTail) {
  for (int64_t n = 1; n <= 40; ++n) {
    AttentionProblem p(1, 2, 1, 1 + n * 5 % 40, n, 1 + n * 7 % 40);
    if (n % 2 == 0) p.add_mask();
    expect_reference(p);
  }
  for (const int64_t n : {47, 48, 49, 97}) {
    AttentionProblem blocks(2, 3, 3, 20, n, n + 3);
    if (n % 2 == 1) blocks.add_mask();
    expect_reference(blocks);
  }
  expect_reference(AttentionProblem(2, 3, 3, 64, 50, 200));
  expect_reference(AttentionProblem(1, 1, 1, 80, 3, 300));
}

TEST(Attention, EqualsTheDefinitionInADecodingStep) {
  for (int64_t group = 1; group <= 5; ++group) {
    for (const int64_t size : {8, 24, 64, 72, 128}) {
      for (const int64_t keys : {1, 8, 31, 32, 33, 71}) {
        AttentionProblem p(2, 2 * group, 2, size, 1, keys);
        if (size == 64) p.add_mask();
        if (size == 24) {
          p.args.offset = keys - 1;
          p.args.window = 20;
        }
        expect_reference(p);
      }
    }
  }
}

TEST(Attention, LeavesOutWhatCausalityAndTheWindowHide) {
  for (int64_t n = 1; n <= 100; n += n < 40 ? 1 : 12) {
    const int64_t keys = n < 45 ? 45 : n + 5;
    for (int64_t window : {0, 1, 5, 20}) {
      AttentionProblem p(1, 2, 2, 24, n, keys);
      p.args.causal = true;
      p.args.offset = n % 3 == 0 ? keys - n : n % 3;
      p.args.window = window;
      expect_reference(p);
    }
  }
}

TEST(Attention, GivesZerosToARowWithoutKeys) {
  AttentionProblem none(1, 2, 1, 8, 20, 0);
  expect_reference(none);
  AttentionProblem masked(1, 1, 1, 8, 3, 5);
  masked.mask.assign(15, -std::numeric_limits<float>::infinity());
  masked.args.mask_query_stride = 5;
  expect_reference(masked);
}

// A NaN shows itself in a row that is otherwise masked altogether.
TEST(Attention, GivesNanToAMaskedRowThatHasOne) {
  const int64_t n = 60;
  AttentionProblem p(1, 1, 1, 8, n, n);
  p.mask.assign(static_cast<size_t>(n * n), -std::numeric_limits<float>::infinity());
  p.args.mask_query_stride = n;
  for (const int64_t row : {3, 50}) p.q[static_cast<size_t>(row * 8)] = std::nanf("");
  p.mask[static_cast<size_t>(7 * n + 59)] = std::nanf("");
  for (const SimdLevel level : machine_levels()) {
    const std::vector<float> y = compute(p, level);
    for (int64_t i = 0; i < n * 8; ++i) {
      const bool nan = i / 8 == 3 || i / 8 == 50 || i / 8 == 7;
      const float value = y[static_cast<size_t>(i)];
      EXPECT_TRUE(nan ? std::isnan(value) : value == 0) << i << " " << simd_level_name(level);
    }
  }
}

// Hidden keys are read by no row, whatever they hold.
TEST(Attention, GivesAPromptTheBytesOfItsSteps) {
  const int64_t n = 70, size = 32, heads = 4;
  AttentionProblem prompt(1, heads, 2, size, n, n);
  prompt.args.causal = true;
  prompt.k[static_cast<size_t>((n - 1) * 2 * size)] = std::nanf("");
  prompt.v[static_cast<size_t>((n - 2) * 2 * size)] = std::numeric_limits<float>::infinity();
  for (SimdLevel level : machine_levels()) {
    const std::vector<float> whole = compute(prompt, level);
    for (int64_t i = 0; i < n; ++i) {
      AttentionProblem step = prompt;
      step.args.queries = 1;
      step.args.offset = i;
      step.args.q_batch_stride = step.args.output_batch_stride = heads * size;
      step.q.assign(prompt.q.begin() + i * heads * size, prompt.q.begin() + (i + 1) * heads * size);
      const std::vector<float> expected(whole.begin() + i * heads * size,
                                        whole.begin() + (i + 1) * heads * size);
      EXPECT_EQ(first_difference(compute(step, level), expected), -1)
          << i << " " << simd_level_name(level);
    }
  }
}

TEST(Attention, IsEqualAtEveryLevelOverManyKeys) {
  for (int64_t queries : {1, 2, 40}) {
    AttentionProblem p(1, 2, 1, 64, queries, 5000);
    const std::vector<float> expected = compute(p, SimdLevel::kPortable);
    for (SimdLevel level : machine_levels()) {
      EXPECT_EQ(first_difference(compute(p, level), expected), -1) << simd_level_name(level);
    }
  }
}

TEST(Attention, IsCloseToTheExactValue) {
  const AttentionProblem p(1, 1, 1, 64, 30, 500);
  const std::vector<float> out = compute(p, detect_simd_level());
  for (int64_t i = 0; i < 30; ++i) {
    std::vector<double> row(500);
    double total = 0;
    for (size_t j = 0; j < 500; ++j) {
      for (size_t d = 0; d < 64; ++d) {
        row[j] += double{p.q[static_cast<size_t>(i) * 64 + d]} * double{p.k[j * 64 + d]};
      }
      row[j] = std::exp(row[j] * double{p.args.scale});
      total += row[j];
    }
    for (size_t d = 0; d < 64; ++d) {
      double x = 0;
      for (size_t j = 0; j < 500; ++j) x += row[j] * double{p.v[j * 64 + d]};
      EXPECT_NEAR(double{out[static_cast<size_t>(i) * 64 + d]}, x / total, 2e-5);
    }
  }
}

}  // namespace
}  // namespace bcai::vm
