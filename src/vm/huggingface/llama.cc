// SPDX-License-Identifier: Apache-2.0
// Llama, and Mistral and Qwen2, which differ from it in biases.
#include <cmath>

#include "vm/huggingface/decoder.h"
#include "vm/huggingface/families.h"

namespace bcai::vm::huggingface {
namespace {

class Llama {
 public:
  Llama(const Config& config, const WeightFiles& files, const ImportOptions& options)
      : config_(config),
        decoder_(config, files, options, "model.", "embed_tokens.weight"),
        net_(decoder_.net()) {}

  Result<Program> run() {
    const std::string embedding = net_.prefix() + "embed_tokens.weight";
    ValueId x = net_.lookup(embedding, config_.vocabulary, config_.width, decoder_.input_ids(),
                            decoder_.tokens());
    find_angles();
    for (int64_t i = 0; i < config_.layers; ++i) {
      x = layer(x, i);
      net_.builder().checkpoint(x);
    }
    x = net_.rms_norm(x, net_.prefix() + "norm", config_.width, config_.epsilon);
    return decoder_.finish(x, embedding);
  }

 private:
  // Position times theta^(-2i/D), rounded as in transformers, whose angles are f32 in every model.
  void find_angles() {
    std::vector<float> frequencies;
    for (int64_t i = 0; i < config_.head_size; i += 2) {
      const float power = static_cast<float>(i) / static_cast<float>(config_.head_size);
      frequencies.push_back(1.0F / static_cast<float>(std::pow(config_.rope_theta, power)));
    }
    const Type column = {DType::kF32, {decoder_.tokens()[1], 1}};
    const ValueId positions =
        net_.add_stated(Opcode::kCast, {decoder_.positions()}, {DType::kF32, {column.shape[0]}});
    const ValueId angles =
        net_.add(Opcode::kMul, {net_.reshape(positions, column), net_.numbers(frequencies)});
    cosine_ = net_.add(Opcode::kCos, {angles});
    sine_ = net_.add(Opcode::kSin, {angles});
  }

  ValueId rotate(ValueId x, int64_t heads) {
    return net_.add(Opcode::kRotaryEmbed, {x, cosine_, sine_}, {{Attr::kHeads, heads}});
  }

  ValueId dense(ValueId x, std::string name, int64_t in, int64_t out, bool bias,
                Activation activation = Activation::kNone) {
    return net_.linear(x, {std::move(name), in, out, bias, activation});
  }

  ValueId attention(ValueId x, const std::string& prefix, int64_t number) {
    const int64_t width = config_.width;
    const int64_t q_width = config_.heads * config_.head_size;
    const int64_t kv_width = config_.kv_heads * config_.head_size;
    const bool bias = config_.qkv_bias;
    const ValueId q = dense(x, prefix + "q_proj", width, q_width, bias);
    const ValueId k = dense(x, prefix + "k_proj", width, kv_width, bias);
    const ValueId v = dense(x, prefix + "v_proj", width, kv_width, bias);
    const ValueId attended =
        decoder_.attend(number, rotate(q, config_.heads), rotate(k, config_.kv_heads), v);
    return dense(attended, prefix + "o_proj", q_width, width, config_.output_bias);
  }

  ValueId layer(ValueId x, int64_t number) {
    const std::string prefix = fmt::format("{}layers.{}.", net_.prefix(), number);
    const int64_t width = config_.width;
    const ValueId before = net_.rms_norm(x, prefix + "input_layernorm", width, config_.epsilon);
    x = net_.add(Opcode::kAdd, {x, attention(before, prefix + "self_attn.", number)});
    const ValueId after =
        net_.rms_norm(x, prefix + "post_attention_layernorm", width, config_.epsilon);
    const bool bias = config_.mlp_bias;
    const ValueId gate =
        dense(after, prefix + "mlp.gate_proj", width, config_.inner, bias, config_.activation);
    const ValueId up = dense(after, prefix + "mlp.up_proj", width, config_.inner, bias);
    const ValueId gated = net_.add(Opcode::kMul, {gate, up});
    return net_.add(Opcode::kAdd,
                    {x, dense(gated, prefix + "mlp.down_proj", config_.inner, width, bias)});
  }

  const Config& config_;
  CausalDecoder decoder_;
  Network& net_;
  ValueId cosine_ = kNoValue;
  ValueId sine_ = kNoValue;
};

}  // namespace

Result<Program> import_llama(const Config& config, const WeightFiles& files,
                             const ImportOptions& options) {
  return Llama(config, files, options).run();
}

}  // namespace bcai::vm::huggingface
