// SPDX-License-Identifier: Apache-2.0
// What the products of a recurrent layer are, and where things lie in its scratch.
#pragma once

#include "vm/backend/cpu/matmul.h"
#include "vm/backend/cpu/recurrent.h"

namespace bcai::vm {

// All steps of x by the weight, and one step of the hidden state by the recurrence: all gates of an
// LSTM, the first two and the last of a GRU. Sizes, layouts and strides; b is packed.
MatMulArgs recurrent_input_product(const RecurrentArgs& args);
MatMulArgs recurrent_gates_product(const RecurrentArgs& args);
MatMulArgs recurrent_last_product(const RecurrentArgs& args);

// Gates that stand in one operand of packed panels: 4 of an LSTM, 2 and 1 of a GRU.
int64_t recurrent_first_gates(RecurrentCell cell);

// Offsets in scratch, in floats, of what one direction needs.
struct RecurrentScratch {
  int64_t bias;    // [gates * hidden], what is added to x W
  int64_t input;   // [steps * batch, gates * hidden]
  int64_t gates;   // [batch, gates * hidden]
  int64_t last;    // [batch, hidden], a GRU's last gate
  int64_t hidden;  // [batch, hidden]
  int64_t cell;    // [batch, hidden]
  int64_t weight;  // panels, where they are not packed ahead
  int64_t recurrence;
  int64_t product;  // what matmul needs
  int64_t floats;
};
RecurrentScratch recurrent_scratch(const RecurrentArgs& args);

}  // namespace bcai::vm
