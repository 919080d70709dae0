// SPDX-License-Identifier: Apache-2.0
// LSTM and GRU over the steps of x, by numeric profile n1. A chain is one fused multiply-add per k
// from +0 (rule R3); every other operation rounds.
//   gate = (x W + (bias of W + bias of R)) + h R
//   LSTM, gates i, o, f, c: c = fma(sigmoid(f), c, sigmoid(i) * tanh(c gate)); h = sigmoid(o) *
//         tanh(c)
//   GRU, gates z, r, h: in = x W + bias of W; s = (in + bias of R) + (sigmoid(r) * h) R, or where
//        the reset comes after the product, fma(sigmoid(r), h R + bias of R, in);
//        h = fma(sigmoid(z), h, (1 - sigmoid(z)) * tanh(s))
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vm/backend/cpu/panel.h"
#include "vm/numerics/simd_level.h"

namespace bcai::vm {

enum class RecurrentCell : uint8_t { kLstm, kGru, kGruLinearBeforeReset };

struct RecurrentArgs {
  RecurrentCell cell = RecurrentCell::kLstm;
  int64_t steps = 0;
  int64_t batch = 0;
  int64_t inputs = 0;
  int64_t hidden = 0;
  int64_t directions = 1;
  bool reverse = false;               // the first direction goes from the last step to the first
  const float* x = nullptr;           // [steps, batch, inputs]
  const float* weight = nullptr;      // [directions, gates * hidden, inputs], or packed
  const float* recurrence = nullptr;  // [directions, gates * hidden, hidden], or packed
  bool packed = false;                // both, by recurrent_pack()
  const float* bias = nullptr;        // [directions, 2 * gates * hidden], of weight, of recurrence
  const float* first_hidden = nullptr;  // [directions, batch, hidden], or null for zeros
  const float* first_cell = nullptr;    // as first_hidden
  float* y = nullptr;                   // [steps, directions, batch, hidden]
  float* last_hidden = nullptr;         // [directions, batch, hidden]
  // Looked at before each step, if not null; once it is true, no more steps are done.
  const std::atomic<bool>* cancelled = nullptr;
  float* last_cell = nullptr;  // as last_hidden; LSTM's alone
};

int64_t recurrent_gates(RecurrentCell cell);

// Floats of one operand of `inputs` (hidden, of the recurrence) numbers a row, packed.
int64_t recurrent_packed_floats(const RecurrentArgs& args, int64_t inputs);

// Independent pieces: directions.
int64_t recurrent_units(const RecurrentArgs& args);

// What one call of run() needs, aligned to 64 bytes; the same for every level and range.
int64_t recurrent_scratch_bytes(const RecurrentArgs& args);

struct RecurrentKernels {
  void (*run)(const RecurrentArgs& args, int64_t begin, int64_t end, std::byte* scratch);
  // Writes recurrent_packed_floats() floats.
  void (*pack)(const RecurrentArgs& args, const float* operand, int64_t inputs, float* packed);
};

const RecurrentKernels& recurrent_kernels(SimdLevel level);

}  // namespace bcai::vm
