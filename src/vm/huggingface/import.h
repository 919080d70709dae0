// SPDX-License-Identifier: Apache-2.0
// Turns a model's directory, as transformers saves it, into a program over its weight files.
//
// The files stay as they are: the program names them by digest, and they are put into the store.
// An encoder's main takes input_ids, attention_mask and, of BERT, token_type_ids, each i32[B,S],
// and gives last_hidden_state f32[B,S,H], and pooler_output f32[B,H] if the checkpoint has a
// pooler. A decoder's main takes input_ids i32[B,S], position i32[] and for each layer the states
// key_N and value_N, f32[B,T,W], and gives logits f32[B,S,V] and the states: the tokens stand at
// position to position + S - 1, behind what the states hold. One program reads a prompt (S tokens
// at 0) and goes on token by token (S = 1), with the same bits. The output of each layer is a
// checkpoint.
//
// docs/reference/huggingface.md lists the models and what is refused.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "vm/program/builder.h"
#include "vm/weights/store.h"

namespace bcai::vm::huggingface {

struct ImportOptions {
  SymbolRange batch = {1, 64};
  // max 0: as many as the model, or a decoder's states, can hold.
  SymbolRange sequence = {1, 0};
  // T, the rows of a decoder's states. 0: as many as the model's positions, at most 2048.
  int64_t cache = 0;
};

// Not verified. An error has a line for each finding. A directory that is refused may leave its
// weight files in the store.
Result<Program> import_huggingface(const std::filesystem::path& directory, WeightStore& store,
                                   const ImportOptions& options);

}  // namespace bcai::vm::huggingface
