// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/recurrent.h"

#include "vm/backend/cpu/recurrent_blocks.h"
#include "vm/backend/cpu/transpose.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {

extern const MatMulKernels kMatMulKernels;

namespace {

using S = Simd;

void multiply(const MatMulArgs& product, float* scratch) {
  kMatMulKernels.run(product, 0, matmul_units(product), reinterpret_cast<std::byte*>(scratch));
}

// One direction, with what it has in scratch.
class Layer {
 public:
  Layer(const RecurrentArgs& args, int64_t direction, float* scratch)
      : args_(args),
        direction_(direction),
        scratch_(scratch),
        at_(recurrent_scratch(args)),
        hidden_(args.hidden),
        gates_(recurrent_gates(args.cell)),
        first_(recurrent_first_gates(args.cell)),
        cells_(args.batch * args.hidden) {}

  void run() {
    weight_ = panels(args_.weight, args_.inputs, scratch_ + at_.weight);
    recurrence_ = panels(args_.recurrence, hidden_, scratch_ + at_.recurrence);
    multiply_inputs();
    start(args_.first_hidden, scratch_ + at_.hidden);
    start(args_.first_cell, scratch_ + at_.cell);
    const bool backwards = args_.reverse || direction_ == 1;
    for (int64_t t = 0; t < args_.steps; ++t) {
      if (args_.cancelled != nullptr && args_.cancelled->load(std::memory_order_relaxed)) return;
      const int64_t step = backwards ? args_.steps - 1 - t : t;
      float* input = scratch_ + at_.input + step * args_.batch * gates_ * hidden_;
      if (args_.cell == RecurrentCell::kLstm) {
        lstm(input);
      } else {
        gru(input);
      }
      copy<S>(scratch_ + at_.hidden, cells_,
              args_.y + (step * args_.directions + direction_) * cells_);
    }
    copy<S>(scratch_ + at_.hidden, cells_, args_.last_hidden + direction_ * cells_);
    if (args_.last_cell == nullptr) return;
    copy<S>(scratch_ + at_.cell, cells_, args_.last_cell + direction_ * cells_);
  }

 private:
  const float* panels(const float* operand, int64_t inputs, float* to) const {
    if (args_.packed) {
      return operand + direction_ * recurrent_packed_floats(args_, inputs) / args_.directions;
    }
    pack_direction(args_, operand + direction_ * gates_ * hidden_ * inputs, inputs, to);
    return to;
  }

 public:
  static void pack_direction(const RecurrentArgs& args, const float* operand, int64_t inputs,
                             float* to) {
    const int64_t first = recurrent_first_gates(args.cell) * args.hidden;
    const int64_t last = recurrent_gates(args.cell) * args.hidden - first;
    kMatMulKernels.pack(operand, inputs, MatrixLayout::kTransposed, inputs, first, to);
    kMatMulKernels.pack(operand + first * inputs, inputs, MatrixLayout::kTransposed, inputs, last,
                        to + panel_floats(inputs, first));
  }

 private:
  // x W with the biases that are added before the recurrent product: of both in the gates that
  // come first, of W in a GRU's last one.
  void multiply_inputs() {
    const int64_t rows = gates_ * hidden_;
    float* bias = scratch_ + at_.bias;
    const float* of_weight = args_.bias == nullptr ? nullptr : bias_of(0);
    fill_zero<S>(bias, rows);
    if (of_weight != nullptr) {
      copy<S>(of_weight, rows, bias);
      add(bias_of(rows), first_ * hidden_, bias);
    }
    MatMulArgs product = recurrent_input_product(args_);
    product.a = args_.x;
    product.b = weight_;
    product.c = scratch_ + at_.input;
    product.epilogue.bias = bias;
    multiply(product, scratch_ + at_.product);
    if (first_ == gates_) return;
    product.b += panel_floats(args_.inputs, product.columns);
    product.c += product.columns;
    product.epilogue.bias += product.columns;
    product.columns = hidden_;
    multiply(product, scratch_ + at_.product);
  }

  const float* bias_of(int64_t row) const {
    return args_.bias + direction_ * 2 * gates_ * hidden_ + row;
  }

  static void add(const float* from, int64_t n, float* to) {
    for_vectors<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
      part.store(to + i, S::add(part.load(to + i), part.load(from + i)));
    });
  }

  void start(const float* given, float* to) const {
    if (given == nullptr) return fill_zero<S>(to, cells_);
    copy<S>(given + direction_ * cells_, cells_, to);
  }

  void multiply_gates(const float* input) {
    MatMulArgs product = recurrent_gates_product(args_);
    product.a = scratch_ + at_.hidden;
    product.b = recurrence_;
    product.c = scratch_ + at_.gates;
    product.epilogue.residual = input;
    multiply(product, scratch_ + at_.product);
  }

  void lstm(const float* input) {
    multiply_gates(input);
    const int64_t width = hidden_;
    for (int64_t b = 0; b < args_.batch; ++b) {
      const float* gates = scratch_ + at_.gates + b * 4 * width;
      float* hidden = scratch_ + at_.hidden + b * width;
      float* cell = scratch_ + at_.cell + b * width;
      for_vectors<S>(width, [=](int64_t i, auto part) BCAI_LAMBDA {
        const auto in = sigmoid<S>(part.load(gates + i));
        const auto out = sigmoid<S>(part.load(gates + width + i));
        const auto forget = sigmoid<S>(part.load(gates + 2 * width + i));
        const auto candidate = tanh<S>(part.load(gates + 3 * width + i));
        const auto c = canonical_nan<S>(S::fma(forget, part.load(cell + i), S::mul(in, candidate)));
        part.store(cell + i, c);
        part.store(hidden + i, canonical_nan<S>(S::mul(out, tanh<S>(c))));
      });
    }
  }

  void gru(const float* input) {
    multiply_gates(input);
    const bool linear = args_.cell == RecurrentCell::kGruLinearBeforeReset;
    const int64_t width = hidden_;
    float* const gated = scratch_ + at_.cell;  // a GRU has no cell state
    for (int64_t b = 0; b < args_.batch; ++b) {
      const float* reset = scratch_ + at_.gates + b * 3 * width + width;
      const float* hidden = scratch_ + at_.hidden + b * width;
      for_vectors<S>(width, [&](int64_t i, auto part) BCAI_LAMBDA {
        part.store(gated + b * width + i,
                   S::mul(sigmoid<S>(part.load(reset + i)), part.load(hidden + i)));
      });
    }
    MatMulArgs product = recurrent_last_product(args_);
    product.a = linear ? scratch_ + at_.hidden : gated;
    product.b = recurrence_ + panel_floats(width, 2 * width);
    product.c = scratch_ + at_.last;
    multiply(product, scratch_ + at_.product);
    for (int64_t b = 0; b < args_.batch; ++b) finish_gru(input, b, linear);
  }

  void finish_gru(const float* input, int64_t b, bool linear) {
    const int64_t width = hidden_;
    const float* in = input + b * 3 * width + 2 * width;
    const float* gates = scratch_ + at_.gates + b * 3 * width;
    const float* last = scratch_ + at_.last + b * width;
    const float* bias = args_.bias == nullptr ? nullptr : bias_of(5 * width);
    float* hidden = scratch_ + at_.hidden + b * width;
    for_vectors<S>(width, [=](int64_t i, auto part) BCAI_LAMBDA {
      const auto update = sigmoid<S>(part.load(gates + i));
      const auto added = bias == nullptr ? S::set(0.0f) : part.load(bias + i);
      const auto product = part.load(last + i), x = part.load(in + i);
      const auto sum =
          linear ? S::fma(sigmoid<S>(part.load(gates + width + i)), S::add(product, added), x)
                 : S::add(S::add(x, added), product);
      const auto rest = S::mul(S::sub(S::set(1.0f), update), tanh<S>(sum));
      part.store(hidden + i, canonical_nan<S>(S::fma(update, part.load(hidden + i), rest)));
    });
  }

  const RecurrentArgs& args_;
  const int64_t direction_;
  float* const scratch_;
  const RecurrentScratch at_;
  const int64_t hidden_;
  const int64_t gates_;
  const int64_t first_;
  const int64_t cells_;
  const float* weight_ = nullptr;
  const float* recurrence_ = nullptr;
};

void run(const RecurrentArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  for (int64_t direction = begin; direction < end; ++direction) {
    Layer(args, direction, reinterpret_cast<float*>(scratch)).run();
  }
}

void pack(const RecurrentArgs& args, const float* operand, int64_t inputs, float* packed) {
  const int64_t rows = recurrent_gates(args.cell) * args.hidden;
  const int64_t floats = recurrent_packed_floats(args, inputs) / args.directions;
  for (int64_t d = 0; d < args.directions; ++d) {
    Layer::pack_direction(args, operand + d * rows * inputs, inputs, packed + d * floats);
  }
}

}  // namespace

extern const RecurrentKernels kRecurrentKernels;
const RecurrentKernels kRecurrentKernels = {.run = run, .pack = pack};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
