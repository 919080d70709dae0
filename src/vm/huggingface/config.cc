// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/config.h"

#include <algorithm>
#include <array>

namespace bcai::vm::huggingface {
namespace {

constexpr IntRange kWidths = {1, 1 << 20};
constexpr IntRange kCounts = {1, 1 << 24};  // of tokens and positions
constexpr IntRange kLayers = {1, 1024};
constexpr IntRange kHeads = {1, 4096};
constexpr IntRange kHeadSizes = {1, 4096};
constexpr FloatRange kEpsilons = {1e-30, 1};
constexpr FloatRange kThetas = {1, 1e12};

struct ModelType {
  std::string_view name;
  Family family;
};
constexpr std::array kModelTypes = {
    ModelType{"bert", Family::kBert},
    ModelType{"roberta", Family::kRoberta},
    ModelType{"xlm-roberta", Family::kRoberta},
    ModelType{"camembert", Family::kRoberta},
    ModelType{"distilbert", Family::kDistilBert},
    ModelType{"gpt2", Family::kGpt2},
    ModelType{"llama", Family::kLlama},
    ModelType{"mistral", Family::kLlama},
    ModelType{"qwen2", Family::kLlama},
};

struct ActivationWord {
  std::string_view word;
  Activation activation;
};
constexpr std::array kActivations = {
    ActivationWord{"gelu", Activation::kGeluErf},
    ActivationWord{"gelu_new", Activation::kGeluTanh},
    ActivationWord{"gelu_pytorch_tanh", Activation::kGeluTanh},
    ActivationWord{"relu", Activation::kRelu},
    ActivationWord{"silu", Activation::kSilu},
    ActivationWord{"swish", Activation::kSilu},
};

class ConfigReader {
 public:
  ConfigReader(const json::value& value, std::vector<Finding>* findings)
      : value_(value), in_(value, "", findings) {}

  Config read() {
    if (!read_model_type()) return config_;
    refuse_unless("quantization_config", nullptr);
    switch (config_.family) {
      case Family::kBert:
      case Family::kRoberta: read_bert(); break;
      case Family::kDistilBert: read_distilbert(); break;
      case Family::kGpt2: read_gpt2(); break;
      case Family::kLlama: read_llama(); break;
    }
    if (config_.is_decoder()) check_class();
    return config_;
  }

 private:
  static std::string shown(const json::value& value) {
    const std::string text = bcai::to_text(value);
    return text.size() <= 80 ? text : text.substr(0, 80) + "…";
  }

  // A key that may be absent, or have the value that changes nothing.
  void refuse_unless(std::string_view key, const json::value& harmless) {
    const json::value* found = in_.peek(key);
    if (found != nullptr && *found != harmless) {
      in_.add(key, fmt::format("{} is not supported", shown(*found)));
    }
  }

  bool read_model_type() {
    std::vector<std::string> words;
    for (const ModelType& each : kModelTypes) words.emplace_back(each.name);
    if (in_.peek("model_type") == nullptr) in_.add("model_type", "is required");
    in_.read_word("model_type", model_type_, words);
    for (const ModelType& each : kModelTypes) {
      if (each.name == model_type_) config_.family = each.family;
    }
    return !model_type_.empty();
  }

  // Logits come from a language model's head and from no other.
  void check_class() {
    std::vector<std::string> names;
    in_.read("architectures", names);
    for (const std::string& name : names) {
      const std::string_view view = name;
      if (!view.ends_with("Model") && !view.ends_with("ForCausalLM")) {
        in_.add("architectures",
                fmt::format("{} is not supported, expected a language model", name.substr(0, 80)));
      }
    }
  }

  void read_activation(std::string_view key, std::string word) {
    std::vector<std::string> words;
    for (const ActivationWord& each : kActivations) words.emplace_back(each.word);
    in_.read_word(key, word, words);
    for (const ActivationWord& each : kActivations) {
      if (each.word == word) config_.activation = each.activation;
    }
  }

  void read_epsilon(std::string_view key, double otherwise) {
    in_.read(key, otherwise, kEpsilons);
    config_.epsilon = static_cast<float>(otherwise);
  }

  void read_sizes(std::string_view layers, std::string_view width, std::string_view heads,
                  std::string_view positions) {
    in_.require("vocab_size", config_.vocabulary, kCounts);
    in_.require(layers, config_.layers, kLayers);
    in_.require(width, config_.width, kWidths);
    in_.require(heads, config_.heads, kHeads);
    in_.require(positions, config_.positions, kCounts);
    config_.kv_heads = config_.heads;
    if (config_.width > 0 && config_.heads > 0) config_.head_size = config_.width / config_.heads;
  }

  // Of a model whose heads are its width.
  void check_heads(std::string_view heads) {
    if (config_.head_size * config_.heads == config_.width || config_.heads == 0) return;
    in_.add(heads, fmt::format("a width of {} does not divide into {} heads", config_.width,
                               config_.heads));
  }

  void read_bert() {
    read_sizes("num_hidden_layers", "hidden_size", "num_attention_heads",
               "max_position_embeddings");
    check_heads("num_attention_heads");
    in_.require("intermediate_size", config_.inner, kWidths);
    read_activation("hidden_act", "gelu");
    read_epsilon("layer_norm_eps", 1e-12);
    config_.token_types = 2;
    in_.read("type_vocab_size", config_.token_types, kCounts);
    refuse_unless("position_embedding_type", "absolute");
    refuse_unless("is_decoder", false);
    refuse_unless("add_cross_attention", false);
    if (config_.family != Family::kRoberta) return;
    config_.pad_token = 1;
    in_.read("pad_token_id", config_.pad_token, IntRange{0, 1 << 20});
    if (config_.positions == 0) return;
    config_.positions -= config_.pad_token + 1;
    if (config_.positions < 1) {
      in_.add("max_position_embeddings", "leaves no position after pad_token_id");
    }
  }

  void read_distilbert() {
    read_sizes("n_layers", "dim", "n_heads", "max_position_embeddings");
    check_heads("n_heads");
    in_.require("hidden_dim", config_.inner, kWidths);
    read_activation("activation", "gelu");
    config_.epsilon = 1e-12F;
  }

  void read_gpt2() {
    read_sizes("n_layer", "n_embd", "n_head", "n_positions");
    check_heads("n_head");
    config_.inner = 4 * config_.width;
    in_.read("n_inner", config_.inner, kWidths);
    read_activation("activation_function", "gelu_new");
    read_epsilon("layer_norm_epsilon", 1e-5);
    config_.tied_embeddings = true;
    in_.read("tie_word_embeddings", config_.tied_embeddings);
    in_.read("scale_attn_weights", config_.scaled_attention);
    refuse_unless("scale_attn_by_inverse_layer_idx", false);
    refuse_unless("add_cross_attention", false);
  }

  void read_llama() {
    read_sizes("num_hidden_layers", "hidden_size", "num_attention_heads",
               "max_position_embeddings");
    in_.require("intermediate_size", config_.inner, kWidths);
    read_activation("hidden_act", "silu");
    read_epsilon("rms_norm_eps", 1e-6);
    in_.read("tie_word_embeddings", config_.tied_embeddings);
    read_llama_heads();
    read_rope();
    read_windows();
    in_.read("attention_bias", config_.qkv_bias);
    config_.output_bias = config_.qkv_bias;
    in_.read("mlp_bias", config_.mlp_bias);
    if (model_type_ == "llama") return;
    refuse_unless("attention_bias", false);
    refuse_unless("mlp_bias", false);
    config_.qkv_bias = model_type_ == "qwen2";
    config_.output_bias = config_.mlp_bias = false;
  }

  void read_llama_heads() {
    // The other types have defaults of their own.
    if (model_type_ == "llama") {
      in_.read("num_key_value_heads", config_.kv_heads, kHeads);
    } else {
      in_.require("num_key_value_heads", config_.kv_heads, kHeads);
    }
    if (in_.peek("head_dim") == nullptr) check_heads("num_attention_heads");
    in_.read("head_dim", config_.head_size, kHeadSizes);
    if (config_.kv_heads > 0 && config_.heads % config_.kv_heads != 0) {
      in_.add("num_key_value_heads",
              fmt::format("{} heads do not divide by {}", config_.heads, config_.kv_heads));
    }
    if (config_.head_size % 2 != 0) {
      in_.add("head_dim", fmt::format("heads of {} have no pairs to rotate", config_.head_size));
    }
  }

  // Older files have rope_theta and rope_scaling, later ones rope_parameters with both.
  void read_rope() {
    in_.read("rope_theta", config_.rope_theta, kThetas);
    read_rotary_part(in_);
    for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
      const json::value* found = in_.take(key);
      if (found == nullptr) continue;
      Decoder rope(*found, in_.pointer_to(key), in_.findings());
      std::string type = "default";
      rope.read("type", type);
      rope.read("rope_type", type);
      if (type != "default") {
        in_.add(key, fmt::format("{} is not supported", shown(*found)));
        continue;
      }
      rope.read("rope_theta", config_.rope_theta, kThetas);
      read_rotary_part(rope);
    }
  }

  static void read_rotary_part(Decoder& in) {
    double part = 1;
    in.read("partial_rotary_factor", part);
    if (part != 1) in.add("partial_rotary_factor", fmt::format("{} is not supported", part));
  }

  void read_windows() {
    refuse_unless("use_sliding_window", false);
    if (model_type_ == "mistral") {
      // Null is none; a file without the key means what the type's first model had.
      if (!value_.as_object().contains("sliding_window")) config_.window = 4096;
      in_.read("sliding_window", config_.window, kCounts);
    }
    std::vector<std::string> types;
    in_.read("layer_types", types, static_cast<size_t>(kLayers.max));
    for (const std::string& type : types) {
      if (type == "full_attention") continue;
      in_.add("layer_types", fmt::format("{} is not supported", type.substr(0, 80)));
      break;
    }
  }

  const json::value& value_;
  Decoder in_;
  Config config_;
  std::string model_type_;
};

}  // namespace

std::optional<Config> read_config(std::string_view text, std::vector<Finding>* findings) {
  const size_t before = findings->size();
  const Result<json::value> value = parse_json(text);
  if (!value) {
    findings->push_back({"", value.error().message});
    return std::nullopt;
  }
  const Config config = ConfigReader(*value, findings).read();
  if (findings->size() > before) return std::nullopt;
  return config;
}

}  // namespace bcai::vm::huggingface
