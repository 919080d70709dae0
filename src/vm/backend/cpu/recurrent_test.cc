// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/recurrent.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

struct RecurrentProblem {
  RecurrentArgs args;
  std::vector<float> x, weight, recurrence, bias, hidden, cell;
};

RecurrentProblem problem_of(const RecurrentArgs& args) {
  const int64_t rows = args.directions * recurrent_gates(args.cell) * args.hidden;
  const int64_t states = args.directions * args.batch * args.hidden;
  return {args,
          random_floats(args.steps * args.batch * args.inputs, 1),
          random_floats(rows * args.inputs, 2),
          random_floats(rows * args.hidden, 3),
          random_floats(2 * rows, 4),
          random_floats(states, 5),
          random_floats(states, 6)};
}

// y, the last hidden and the last cell states, one after the other.
std::vector<float> compute(const RecurrentProblem& p, SimdLevel level, bool packed) {
  RecurrentArgs args = p.args;
  const RecurrentKernels& kernels = recurrent_kernels(level);
  std::vector<float> weight = p.weight, recurrence = p.recurrence;
  if (packed) {
    weight.resize(static_cast<size_t>(recurrent_packed_floats(args, args.inputs)));
    recurrence.resize(static_cast<size_t>(recurrent_packed_floats(args, args.hidden)));
    kernels.pack(args, p.weight.data(), args.inputs, weight.data());
    kernels.pack(args, p.recurrence.data(), args.hidden, recurrence.data());
  }
  const int64_t states = args.directions * args.batch * args.hidden;
  std::vector<float> out(static_cast<size_t>((args.steps + 2) * states));
  args.packed = packed;
  args.x = p.x.data();
  args.weight = weight.data();
  args.recurrence = recurrence.data();
  args.bias = p.bias.data();
  args.first_hidden = p.hidden.data();
  args.first_cell = p.cell.data();
  args.y = out.data();
  args.last_hidden = out.data() + args.steps * states;
  if (args.cell == RecurrentCell::kLstm) args.last_cell = args.last_hidden + states;
  Scratch scratch(recurrent_scratch_bytes(args));
  run_in_parts(recurrent_units(args), 2,
               [&](int64_t begin, int64_t end) { kernels.run(args, begin, end, scratch.get()); });
  return out;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// One direction of the definition, in binary64.
class Exact {
 public:
  Exact(const RecurrentProblem& p, int64_t direction) : p_(p), direction_(direction) {
    const auto at = [&](const std::vector<float>& from) {
      const auto states = p.args.batch * p.args.hidden;
      return std::vector<double>(from.begin() + direction * states,
                                 from.begin() + (direction + 1) * states);
    };
    hidden = at(p.hidden);
    cell_ = at(p.cell);
  }

  void step(int64_t t) {
    const RecurrentArgs& a = p_.args;
    std::vector<double> next = hidden;
    for (int64_t b = 0; b < a.batch; ++b) {
      for (int64_t i = 0; i < a.hidden; ++i) {
        double& h = next[static_cast<size_t>(b * a.hidden + i)];
        h = a.cell == RecurrentCell::kLstm ? lstm(t, b, i) : gru(t, b, i);
      }
    }
    hidden = next;
  }

  std::vector<double> hidden;

 private:
  double input(int64_t t, int64_t b, int64_t row) const {
    const RecurrentArgs& a = p_.args;
    double sum = bias(row);
    for (int64_t k = 0; k < a.inputs; ++k) {
      sum += double{p_.x[static_cast<size_t>((t * a.batch + b) * a.inputs + k)]} *
             double{p_.weight[static_cast<size_t>((first() + row) * a.inputs + k)]};
    }
    return sum;
  }
  double recurrent(int64_t b, int64_t row, bool reset) const {
    const RecurrentArgs& a = p_.args;
    double sum = 0;
    for (int64_t k = 0; k < a.hidden; ++k) {
      const double h = hidden[static_cast<size_t>(b * a.hidden + k)];
      sum += (reset ? h * sigmoid(gate(t_, b, a.hidden + k)) : h) *
             double{p_.recurrence[static_cast<size_t>((first() + row) * a.hidden + k)]};
    }
    return sum;
  }
  int64_t rows() const { return recurrent_gates(p_.args.cell) * p_.args.hidden; }
  int64_t first() const { return direction_ * rows(); }
  double bias(int64_t row) const { return double{p_.bias[static_cast<size_t>(2 * first() + row)]}; }
  double gate(int64_t t, int64_t b, int64_t row) const {
    return input(t, b, row) + bias(rows() + row) + recurrent(b, row, false);
  }
  double lstm(int64_t t, int64_t b, int64_t i) {
    const int64_t width = p_.args.hidden;
    double& c = cell_[static_cast<size_t>(b * width + i)];
    c = sigmoid(gate(t, b, 2 * width + i)) * c +
        sigmoid(gate(t, b, i)) * std::tanh(gate(t, b, 3 * width + i));
    return sigmoid(gate(t, b, width + i)) * std::tanh(c);
  }
  double gru(int64_t t, int64_t b, int64_t i) {
    const int64_t width = p_.args.hidden;
    const int64_t row = 2 * width + i;
    t_ = t;
    const double update = sigmoid(gate(t, b, i));
    const double added = bias(rows() + row);
    const double sum = p_.args.cell == RecurrentCell::kGru
                           ? input(t, b, row) + added + recurrent(b, row, true)
                           : input(t, b, row) + sigmoid(gate(t, b, width + i)) *
                                                    (recurrent(b, row, false) + added);
    return update * hidden[static_cast<size_t>(b * width + i)] + (1 - update) * std::tanh(sum);
  }

  const RecurrentProblem& p_;
  const int64_t direction_;
  int64_t t_ = 0;
  std::vector<double> cell_;
};

TEST(Recurrent, IsEqualAtEveryLevelPackedOrNotAndCloseToTheExactValue) {
  for (const RecurrentCell cell :
       {RecurrentCell::kLstm, RecurrentCell::kGru, RecurrentCell::kGruLinearBeforeReset}) {
    for (const int64_t hidden : {1, 5, 16, 37}) {
      RecurrentArgs args{.cell = cell, .steps = 3, .batch = 2, .inputs = hidden % 7 + 2};
      args.hidden = hidden;
      args.directions = hidden % 2 == 1 ? 2 : 1;
      args.reverse = args.directions == 1;
      const RecurrentProblem p = problem_of(args);
      const std::vector<float> expected = compute(p, SimdLevel::kPortable, false);
      for (const SimdLevel level : machine_levels()) {
        for (const bool packed : {false, true}) {
          EXPECT_EQ(first_difference(compute(p, level, packed), expected), -1)
              << hidden << " " << simd_level_name(level);
        }
      }
      for (int64_t d = 0; d < args.directions; ++d) {
        Exact exact(p, d);
        const bool backwards = args.reverse || d == 1;
        for (int64_t t = 0; t < args.steps; ++t) {
          const int64_t at = backwards ? args.steps - 1 - t : t;
          exact.step(at);
          for (int64_t i = 0; i < args.batch * hidden; ++i) {
            const int64_t y = (at * args.directions + d) * args.batch * hidden + i;
            EXPECT_NEAR(double{expected[static_cast<size_t>(y)]},
                        exact.hidden[static_cast<size_t>(i)], 1e-5);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
