// SPDX-License-Identifier: Apache-2.0
// What decoders have in common: tokens at a position, and states that hold the keys and values of
// all before.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "vm/huggingface/config.h"
#include "vm/huggingface/import.h"
#include "vm/huggingface/network.h"

namespace bcai::vm::huggingface {

class CausalDecoder {
 public:
  // Declares main's arguments. The config must outlive the decoder.
  CausalDecoder(const Config& config, const WeightFiles& files, const ImportOptions& options,
                std::string_view prefix, std::string_view probe);

  Network& net() { return net_; }
  const Shape& tokens() const { return tokens_; }  // [B,S]
  ValueId input_ids() const { return input_ids_; }
  ValueId positions() const { return positions_; }  // i32[S]

  // Appends the keys and values to the layer's states and attends to all that they hold up to each
  // token. f32[B,S,heads*head_size].
  ValueId attend(int64_t layer, ValueId q, ValueId k, ValueId v);
  // logits f32[B,S,vocabulary] of the last layer's normalised output, by the embedding if it is
  // tied, else by lm_head; and the states.
  Result<Program> finish(ValueId x, const std::string& embedding);

 private:
  void declare(const ImportOptions& options);
  void place_tokens();

  const Config& config_;
  Network net_;
  Shape tokens_;
  ValueId input_ids_ = kNoValue;
  ValueId position_ = kNoValue;
  ValueId positions_ = kNoValue;
  ValueId length_ = kNoValue;                            // i32[1]: position + S
  std::vector<std::pair<std::string, ValueId>> states_;  // key_0, value_0, key_1, …
};

}  // namespace bcai::vm::huggingface
