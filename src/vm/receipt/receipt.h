// SPDX-License-Identifier: Apache-2.0
// What a run commits to, so that another machine can hold it to its answer: the program, its
// weights, symbols and inputs, the declared checkpoints and the results, bound into one digest.
// docs/formats/receipt.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/decode.h"
#include "vm/tensor/tensor.h"
#include "vm/verify/verifier.h"

namespace bcai::vm {

struct ValueRoot {
  ValueId value = 0;
  Sha256 root;
  bool operator==(const ValueRoot&) const = default;
};

struct Receipt {
  Sha256 program;
  std::string profile = "n1";
  Binding symbols;
  std::vector<Sha256> weights;  // of the program's weight files, in its order
  std::vector<Sha256> inputs;   // roots, in the order of main's arguments
  std::vector<ValueRoot> checkpoints;
  std::vector<Sha256> results;  // in the order of main's results
  // The root of every result of main's own instructions, when asked for: it is not part of the
  // commitment, but tells which instruction two runs part at.
  std::vector<ValueRoot> trace;

  // SHA-256 over all of the above but the trace, in the order and form of docs/formats/receipt.md.
  Sha256 commitment() const;
};

json::value encode_receipt(const Receipt& receipt);
// Nothing and findings when it is not well formed, or its commitment is not that of its content.
std::optional<Receipt> decode_receipt(const json::value& value, std::vector<Finding>* findings);

// Gathers a receipt while a program runs: give `observe` to the backend.
class ReceiptRecorder {
 public:
  // `program` and its binding are what runs; `with_trace` keeps a root for every instruction.
  ReceiptRecorder(const VerifiedProgram& program, Sha256 identity, Binding symbols,
                  bool with_trace);

  void observe(ValueId value, const Tensor& tensor);
  Receipt finish(std::span<const Tensor> inputs, std::span<const Tensor> results);

 private:
  const VerifiedProgram program_;
  bool with_trace_;
  Receipt receipt_;
};

// The values that a trace lists, in its order.
std::vector<ValueId> trace_values(const Program& program);

// The program with all of these declared checkpoints, so that a backend that fuses keeps them.
// Another program by identity: for running alone.
Program traced_program(const Program& program);

// Where two receipts of one program part.
struct Difference {
  std::string what;  // "input 'x'", "checkpoint %7", "result 'y'", "symbols", …
  // The first instruction of main whose result differs, when both have a trace; else the one that
  // made the first checkpoint that differs.
  std::optional<ValueId> value;
};

// Nothing when they agree.
std::optional<Difference> compare_receipts(const Program& program, const Receipt& claimed,
                                           const Receipt& found);

// "main, instruction 3 (TensorMatMul)": what made a value of main's own.
std::string maker_of(const Program& program, ValueId value);

}  // namespace bcai::vm
