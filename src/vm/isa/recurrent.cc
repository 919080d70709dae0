// SPDX-License-Identifier: Apache-2.0
// Recurrent layers over x[S,B,I]: all steps in one instruction.
#include "vm/isa/choices.h"
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

int64_t directions_of(const InstructionView& view) {
  const auto direction = static_cast<Direction>(int_of(view, Attr::kDirection));
  return direction == Direction::kBidirectional ? 2 : 1;
}

// x, weight, recurrence, bias?, then `states` initial states. Results: all steps, then the last.
std::vector<Type> infer(const InstructionView& view, int64_t gates, size_t states,
                        Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  if (!require_rank(view, 0, 3, judgement)) return {};
  const Dim hidden(int_of(view, Attr::kHiddenSize));
  const Dim directions(directions_of(view));
  const Dim rows = Dim(gates) * hidden;
  const Shape state = {directions, x[1], hidden};
  require_shape(view, 1, {directions, rows, x[2]}, judgement);
  require_shape(view, 2, {directions, rows, hidden}, judgement);
  if (has_operand(view, 3)) require_shape(view, 3, {directions, Dim(2) * rows}, judgement);
  for (size_t i = 0; i < states; ++i) {
    if (has_operand(view, 4 + i)) require_shape(view, 4 + i, state, judgement);
  }
  judgement.require(judgement.at_most(Dim(1), x[0]), "V13", "x may have no steps");
  std::vector<Type> results = {{DType::kF32, {x[0], directions, x[1], hidden}}};
  results.insert(results.end(), states, {DType::kF32, state});
  return results;
}

std::vector<Type> infer_lstm(const InstructionView& view, Judgement& judgement) {
  return infer(view, 4, 2, judgement);
}
std::vector<Type> infer_gru(const InstructionView& view, Judgement& judgement) {
  return infer(view, 3, 1, judgement);
}

// The multiply-adds of both products of every step, and 32 for the gates of each state element.
Dim recurrent_work(const InstructionView& view) {
  const Shape& x = operand(view, 0).shape;
  const Dim steps = x[0] * x[1];
  return steps * (operand(view, 1).shape.elements() + operand(view, 2).shape.elements() +
                  Dim(32 * directions_of(view)) * Dim(int_of(view, Attr::kHiddenSize)));
}

}  // namespace

namespace classes {

const InstructionClass kLSTM = {
    .name = "LSTM",
    .operands = {{"x", "[S,B,I]"},
                 {"weight", "[directions,4H,I]"},
                 {"recurrence", "[directions,4H,H]"},
                 {"bias", "[directions,8H]: of weight, then of recurrence", true},
                 {"hidden", "[directions,B,H]", true},
                 {"cell", "[directions,B,H]", true}},
    .results = {"y", "hidden", "cell"},
    .rule = "y is [S,directions,B,H]; hidden and cell are [directions,B,H] (V13)",
    .infer = infer_lstm,
    .work = recurrent_work};
const InstructionClass kGRU = {
    .name = "GRU",
    .operands = {{"x", "[S,B,I]"},
                 {"weight", "[directions,3H,I]"},
                 {"recurrence", "[directions,3H,H]"},
                 {"bias", "[directions,6H]: of weight, then of recurrence", true},
                 {"hidden", "[directions,B,H]", true}},
    .results = {"y", "hidden"},
    .rule = "y is [S,directions,B,H]; hidden is [directions,B,H] (V13)",
    .infer = infer_gru,
    .work = recurrent_work};

}  // namespace classes
}  // namespace bcai::vm
