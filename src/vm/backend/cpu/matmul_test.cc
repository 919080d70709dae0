// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

// Sizes, layouts and operands of a matmul, with room to spare in every row.
struct MatMulProblem {
  int64_t rows, columns, depth;
  MatrixLayout a_layout = MatrixLayout::kRows;
  MatrixLayout b_layout = MatrixLayout::kRows;
  std::vector<float> a, b, bias, residual;
  EpilogueActivation activation = EpilogueActivation::kNone;

  MatMulProblem(int64_t m, int64_t n, int64_t k) : rows(m), columns(n), depth(k) {
    a = random_floats(m * k, 1);
    b = random_floats(k * n, 2);
  }
  void add_epilogue() {
    bias = random_floats(columns, 3);
    residual = random_floats(rows * columns, 4);
    activation = EpilogueActivation::kRelu;
  }
};

float canonical(float x) { return std::isnan(x) ? std::numeric_limits<float>::quiet_NaN() : x; }

// The definition: rule R3 of profile n1.
std::vector<float> reference(const MatMulProblem& p) {
  std::vector<float> c(static_cast<size_t>(p.rows * p.columns));
  for (int64_t i = 0; i < p.rows; ++i) {
    for (int64_t j = 0; j < p.columns; ++j) {
      float sum = 0;
      for (int64_t k = 0; k < p.depth; ++k) {
        sum = std::fma(p.a[static_cast<size_t>(i * p.depth + k)],
                       p.b[static_cast<size_t>(k * p.columns + j)], sum);
      }
      if (!p.bias.empty()) sum += p.bias[static_cast<size_t>(j)];
      if (p.activation == EpilogueActivation::kRelu && sum <= 0) sum = 0;
      if (!p.residual.empty()) sum += p.residual[static_cast<size_t>(i * p.columns + j)];
      c[static_cast<size_t>(i * p.columns + j)] = canonical(sum);
    }
  }
  return c;
}

std::vector<float> transposed(const std::vector<float>& from, int64_t rows, int64_t columns) {
  std::vector<float> to(from.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      to[static_cast<size_t>(j * rows + i)] = from[static_cast<size_t>(i * columns + j)];
    }
  }
  return to;
}

std::vector<float> compute(const MatMulProblem& p, SimdLevel level, int64_t parts = 1) {
  const MatMulKernels& kernels = matmul_kernels(level);
  std::vector<float> a = p.a;
  if (p.a_layout == MatrixLayout::kTransposed) a = transposed(p.a, p.rows, p.depth);
  std::vector<float> b = p.b;
  if (p.b_layout == MatrixLayout::kTransposed) b = transposed(p.b, p.depth, p.columns);
  if (p.b_layout == MatrixLayout::kPacked) {
    b.assign(static_cast<size_t>(panel_floats(p.depth, p.columns)), -1);
    kernels.pack(p.b.data(), p.columns, MatrixLayout::kRows, p.depth, p.columns, b.data());
  }
  std::vector<float> c(static_cast<size_t>(p.rows * p.columns), -7);
  const MatMulArgs args{.rows = p.rows,
                        .columns = p.columns,
                        .depth = p.depth,
                        .a = a.data(),
                        .a_stride = p.a_layout == MatrixLayout::kRows ? p.depth : p.rows,
                        .a_layout = p.a_layout,
                        .b = b.data(),
                        .b_stride = p.b_layout == MatrixLayout::kRows ? p.columns : p.depth,
                        .b_layout = p.b_layout,
                        .c = c.data(),
                        .c_stride = p.columns,
                        .epilogue = {.bias = p.bias.empty() ? nullptr : p.bias.data(),
                                     .activation = p.activation,
                                     .low = -0.25f,
                                     .high = 0.5f,
                                     .residual = p.residual.empty() ? nullptr : p.residual.data(),
                                     .residual_stride = p.columns}};
  Scratch scratch(matmul_scratch_bytes(args));
  run_in_parts(matmul_units(args), parts,
               [&](int64_t begin, int64_t end) { kernels.run(args, begin, end, scratch.get()); });
  return c;
}

void expect_reference(const MatMulProblem& p) {
  const std::vector<float> expected = reference(p);
  for (SimdLevel level : machine_levels()) {
    EXPECT_EQ(first_difference(compute(p, level), expected), -1)
        << p.rows << "x" << p.columns << "x" << p.depth << " " << simd_level_name(level);
  }
}

constexpr MatrixLayout kLayouts[] = {MatrixLayout::kRows, MatrixLayout::kTransposed,
                                     MatrixLayout::kPacked};

TEST(MatMul, EqualsTheDefinitionForEveryTail) {
  for (int64_t m = 1; m <= 40; ++m) {
    for (int64_t n = 1; n <= 40; ++n) {
      MatMulProblem p(m, n, 1 + (m * 7 + n * 3) % 40);
      p.b_layout = kLayouts[(m + n) % 3];
      p.a_layout = (m + n) % 5 == 0 ? MatrixLayout::kTransposed : MatrixLayout::kRows;
      if (n % 2 == 0) p.add_epilogue();
      expect_reference(p);
    }
  }
}

TEST(MatMul, EqualsTheDefinitionWhereItIsCut) {
  for (MatrixLayout a_layout : {MatrixLayout::kRows, MatrixLayout::kTransposed}) {
    for (MatrixLayout b_layout : kLayouts) {
      MatMulProblem p(345, 45, 1100);
      p.a_layout = a_layout;
      p.b_layout = b_layout;
      p.add_epilogue();
      expect_reference(p);
    }
  }
}

TEST(MatMul, EqualsTheDefinitionWhereRowsArePagesApart) {
  expect_reference(MatMulProblem(45, 260, 1024));
}

TEST(MatMul, OfDepthZeroIsTheEpilogueOfZero) {
  MatMulProblem p(5, 37, 0);
  p.add_epilogue();
  expect_reference(p);
}

TEST(MatMul, KeepsDenormalsAndGivesOneNan) {
  MatMulProblem p(20, 50, 70);
  for (size_t i = 0; i < p.a.size(); ++i) p.a[i] *= 0x1p-100f;
  for (size_t i = 0; i < p.b.size(); ++i) p.b[i] *= 0x1p-44f;
  expect_reference(p);
  p.a[3] = std::numeric_limits<float>::infinity();
  p.a[4] = -std::numeric_limits<float>::infinity();
  p.a[75] = std::nanf("5");
  p.b[8] = -std::nanf("9");
  expect_reference(p);
}

// The fused kernel is the plain one followed by the three steps.
TEST(MatMul, ActivationsAreEqualAtEveryLevel) {
  for (int i = 0; i <= static_cast<int>(EpilogueActivation::kHardSigmoid); ++i) {
    MatMulProblem p(17, 45, 30);
    p.add_epilogue();
    p.activation = static_cast<EpilogueActivation>(i);
    const std::vector<float> expected = compute(p, SimdLevel::kPortable);
    EXPECT_TRUE(i == 0 || first_difference(expected, reference(p)) >= 0 ||
                p.activation == EpilogueActivation::kRelu);
    for (SimdLevel level : machine_levels()) {
      EXPECT_EQ(first_difference(compute(p, level), expected), -1)
          << i << " " << simd_level_name(level);
    }
  }
}

TEST(MatMul, GivesTheSameBytesForEveryPartition) {
  for (MatrixLayout b_layout : kLayouts) {
    MatMulProblem p(400, 200, 600);
    p.b_layout = b_layout;
    for (SimdLevel level : machine_levels()) {
      if (level == SimdLevel::kPortable) continue;
      const std::vector<float> whole = compute(p, level);
      for (int64_t parts : {2, 3, 5, 100}) {
        EXPECT_EQ(first_difference(compute(p, level, parts), whole), -1) << parts;
      }
    }
  }
}

TEST(MatMul, GivesARowTheSameBytesInAnyBatch) {
  const MatMulProblem p(64, 96, 700);
  const SimdLevel level = detect_simd_level();
  const std::vector<float> whole = compute(p, level);
  for (int64_t i = 0; i < p.rows; i += 9) {
    MatMulProblem row(1, p.columns, p.depth);
    row.a.assign(p.a.begin() + i * p.depth, p.a.begin() + (i + 1) * p.depth);
    row.b_layout = MatrixLayout::kPacked;
    const std::vector<float> expected(whole.begin() + i * p.columns,
                                      whole.begin() + (i + 1) * p.columns);
    EXPECT_EQ(first_difference(compute(row, level), expected), -1) << i;
  }
}

TEST(MatMul, RepeatsAnOperandOverTheBatch) {
  const int64_t m = 9, n = 33, k = 20;
  const std::vector<float> a = random_floats(6 * m * k, 1), b = random_floats(3 * k * n, 2);
  std::vector<float> c(static_cast<size_t>(6 * m * n));
  MatMulArgs args{.rows = m,
                  .columns = n,
                  .depth = k,
                  .a = a.data(),
                  .a_stride = k,
                  .b = b.data(),
                  .b_stride = n,
                  .b_layout = MatrixLayout::kRows,
                  .c = c.data(),
                  .c_stride = n};
  args.batch[2] = {.size = 2, .a_stride = 3 * m * k, .b_stride = 0, .c_stride = 3 * m * n};
  args.batch[3] = {.size = 3, .a_stride = m * k, .b_stride = k * n, .c_stride = m * n};
  Scratch scratch(matmul_scratch_bytes(args));
  matmul_kernels(detect_simd_level()).run(args, 0, matmul_units(args), scratch.get());
  for (int64_t i = 0; i < 6; ++i) {
    MatMulProblem p(m, n, k);
    p.a.assign(a.begin() + i * m * k, a.begin() + (i + 1) * m * k);
    p.b.assign(b.begin() + i % 3 * k * n, b.begin() + (i % 3 + 1) * k * n);
    const std::vector<float> part(c.begin() + i * m * n, c.begin() + (i + 1) * m * n);
    EXPECT_EQ(first_difference(part, reference(p)), -1) << i;
  }
}

TEST(MatMul, StaysWithinTheBoundOfTheExactSum) {
  MatMulProblem p(30, 40, 2000);
  const std::vector<float> c = compute(p, detect_simd_level());
  for (int64_t i = 0; i < p.rows; ++i) {
    for (int64_t j = 0; j < p.columns; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < p.depth; ++k) {
        const double x = double{p.a[static_cast<size_t>(i * p.depth + k)]} *
                         double{p.b[static_cast<size_t>(k * p.columns + j)]};
        sum += x;
        magnitude += std::abs(x);
      }
      EXPECT_LE(std::abs(c[static_cast<size_t>(i * p.columns + j)] - sum),
                static_cast<double>(p.depth) * 0x1p-24 * magnitude);
    }
  }
}

}  // namespace
}  // namespace bcai::vm
