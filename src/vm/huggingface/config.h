// SPDX-License-Identifier: Apache-2.0
// What a model's config.json says, as far as a program depends on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "vm/isa/choices.h"

namespace bcai::vm::huggingface {

// Models of one network. kLlama is Llama, Mistral and Qwen2.
enum class Family : unsigned char { kBert, kRoberta, kDistilBert, kGpt2, kLlama };

struct Config {
  Family family = Family::kBert;
  int64_t vocabulary = 0;
  int64_t positions = 0;  // the longest sequence
  int64_t layers = 0;
  int64_t width = 0;  // of what goes from layer to layer
  int64_t inner = 0;  // inside the feed-forward part
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_size = 0;
  Activation activation = Activation::kNone;
  float epsilon = 0;
  bool tied_embeddings = false;  // the embedding is the output's matrix too
  bool scaled_attention = true;  // by 1 / sqrt(head_size)

  // BERT, RoBERTa
  int64_t token_types = 0;
  int64_t pad_token = 0;  // RoBERTa's positions begin after it

  // Llama
  double rope_theta = 10000;
  int64_t window = 0;  // a query sees so many keys; 0: all
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;

  bool is_decoder() const { return family == Family::kGpt2 || family == Family::kLlama; }
};

// Nothing, and all findings, when the text is no JSON object, lacks what is needed, or asks for
// what no program does. Keys that change no result are not read.
std::optional<Config> read_config(std::string_view text, std::vector<Finding>* findings);

}  // namespace bcai::vm::huggingface
