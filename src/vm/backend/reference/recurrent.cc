// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"
#include "vm/isa/choices.h"

namespace bcai::vm::reference {
namespace {

// One direction of a recurrent layer.
struct Layer {
  int64_t steps, batch, inputs, hidden, gates;
  const float* weight;      // [gates*hidden, inputs]
  const float* recurrence;  // [gates*hidden, hidden]
  const float* bias;        // [2*gates*hidden] or null

  float bias_of_weight(int64_t row) const { return bias == nullptr ? 0.0F : bias[row]; }
  float bias_of_recurrence(int64_t row) const {
    return bias == nullptr ? 0.0F : bias[gates * hidden + row];
  }
  // Rule R3.
  static float chain(const float* a, const float* b, int64_t count) {
    float sum = 0;
    for (int64_t i = 0; i < count; ++i) sum = std::fma(a[i], b[i], sum);
    return sum;
  }
  float input(const float* x, int64_t row) const { return chain(x, weight + row * inputs, inputs); }
  float recurrent(const float* h, int64_t row) const {
    return chain(h, recurrence + row * hidden, hidden);
  }
  // (x·W + (bias of both)) + h·R
  float gate(const float* x, const float* h, int64_t row) const {
    const float both = bias_of_weight(row) + bias_of_recurrence(row);
    return (input(x, row) + both) + recurrent(h, row);
  }
};

using Cell = void (*)(const Step&, const Layer&, const float* x, std::vector<float>& h,
                      std::vector<float>& c);

void lstm_cell(const Step&, const Layer& layer, const float* x, std::vector<float>& h,
               std::vector<float>& c) {
  const int64_t width = layer.hidden;
  std::vector<float> next(h.size());
  for (int64_t i = 0; i < width; ++i) {
    const auto at = static_cast<size_t>(i);
    const float in = sigmoid_n1(layer.gate(x, h.data(), i));
    const float out = sigmoid_n1(layer.gate(x, h.data(), width + i));
    const float forget = sigmoid_n1(layer.gate(x, h.data(), 2 * width + i));
    const float candidate = tanh_n1(layer.gate(x, h.data(), 3 * width + i));
    c[at] = canonical(std::fma(forget, c[at], in * candidate));
    next[at] = canonical(out * tanh_n1(c[at]));
  }
  h = next;
}

void gru_cell(const Step& step, const Layer& layer, const float* x, std::vector<float>& h,
              std::vector<float>&) {
  const int64_t width = layer.hidden;
  const bool linear_before_reset = step.get_int(Attr::kLinearBeforeReset) != 0;
  std::vector<float> update(h.size());
  std::vector<float> reset(h.size());
  std::vector<float> gated(h.size());
  for (int64_t i = 0; i < width; ++i) {
    const auto at = static_cast<size_t>(i);
    update[at] = sigmoid_n1(layer.gate(x, h.data(), i));
    reset[at] = sigmoid_n1(layer.gate(x, h.data(), width + i));
    gated[at] = reset[at] * h[at];
  }
  std::vector<float> next(h.size());
  for (int64_t i = 0; i < width; ++i) {
    const auto at = static_cast<size_t>(i);
    const int64_t row = 2 * width + i;
    const float in = layer.input(x, row) + layer.bias_of_weight(row);
    const float sum =
        linear_before_reset
            ? std::fma(reset[at], layer.recurrent(h.data(), row) + layer.bias_of_recurrence(row),
                       in)
            : (in + layer.bias_of_recurrence(row)) + layer.recurrent(gated.data(), row);
    next[at] = canonical(std::fma(update[at], h[at], (1.0F - update[at]) * tanh_n1(sum)));
  }
  h = next;
}

Result<void> run(const Step& step, int64_t gates, Cell cell) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  const int64_t directions = y.dims()[1];
  const int64_t hidden = y.dims()[3];
  const int64_t batch = x.dims()[1];
  const auto direction = static_cast<Direction>(step.get_int(Attr::kDirection));
  for (int64_t d = 0; d < directions; ++d) {
    const int64_t rows = gates * hidden;
    const Layer layer = {x.dims()[0],
                         batch,
                         x.dims()[2],
                         hidden,
                         gates,
                         step.operand(1).data<float>() + d * rows * x.dims()[2],
                         step.operand(2).data<float>() + d * rows * hidden,
                         step.has(3) ? step.operand(3).data<float>() + d * 2 * rows : nullptr};
    const bool reversed = direction == Direction::kReverse || d == 1;
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<std::vector<float>> states(2, std::vector<float>(static_cast<size_t>(hidden)));
      for (size_t s = 0; s < 2; ++s) {
        if (!step.has(4 + s)) continue;
        std::copy_n(step.operand(4 + s).data<float>() + (d * batch + b) * hidden, hidden,
                    states[s].begin());
      }
      for (int64_t t = 0; t < layer.steps; ++t) {
        const int64_t at = reversed ? layer.steps - 1 - t : t;
        cell(step, layer, x.data<float>() + (at * batch + b) * layer.inputs, states[0], states[1]);
        std::copy(states[0].begin(), states[0].end(),
                  y.data<float>() + ((at * directions + d) * batch + b) * hidden);
      }
      for (size_t s = 0; s + 1 < step.results.size(); ++s) {
        std::copy(states[s].begin(), states[s].end(),
                  step.results[1 + s].data<float>() + (d * batch + b) * hidden);
      }
    }
  }
  return {};
}

}  // namespace

Result<void> lstm(const Step& step) { return run(step, 4, lstm_cell); }
Result<void> gru(const Step& step) { return run(step, 3, gru_cell); }

}  // namespace bcai::vm::reference
