// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/config.h"

#include <gtest/gtest.h>

namespace bcai::vm::huggingface {
namespace {

constexpr std::string_view kLlama = R"("model_type": "llama", "vocab_size": 100, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 128)";

// Of the members given, or the findings.
std::string refused(std::string_view members) {
  std::vector<Finding> findings;
  const auto config = read_config(fmt::format("{{{}}}", members), &findings);
  EXPECT_EQ(config.has_value(), findings.empty());
  return findings_text(findings);
}

std::string refused_llama(std::string_view members) {
  return refused(fmt::format("{}, {}", kLlama, members));
}

Config accepted(std::string_view members) {
  std::vector<Finding> findings;
  const auto config = read_config(fmt::format("{{{}}}", members), &findings);
  EXPECT_TRUE(config) << findings_text(findings);
  return config.value_or(Config{});
}

TEST(ConfigTest, DefaultsAreThoseOfTheModelType) {
  const Config llama = accepted(kLlama);
  EXPECT_TRUE(llama.is_decoder());
  EXPECT_EQ(llama.kv_heads, 4);
  EXPECT_EQ(llama.head_size, 16);
  EXPECT_EQ(llama.activation, Activation::kSilu);
  EXPECT_EQ(llama.epsilon, 1e-6F);
  EXPECT_EQ(llama.rope_theta, 10000);
  EXPECT_FALSE(llama.tied_embeddings || llama.qkv_bias || llama.output_bias || llama.mlp_bias);
  const Config gpt2 = accepted(R"("model_type": "gpt2", "vocab_size": 100, "n_embd": 64,
      "n_layer": 2, "n_head": 4, "n_positions": 128)");
  EXPECT_TRUE(gpt2.is_decoder() && gpt2.tied_embeddings && gpt2.scaled_attention);
  EXPECT_EQ(gpt2.inner, 256);
  EXPECT_EQ(gpt2.activation, Activation::kGeluTanh);
  const Config distilbert = accepted(R"("model_type": "distilbert", "vocab_size": 100, "dim": 64,
      "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "max_position_embeddings": 128)");
  EXPECT_FALSE(distilbert.is_decoder());
  EXPECT_EQ(distilbert.activation, Activation::kGeluErf);
}

TEST(ConfigTest, BothFormsOfRotationAreRead) {
  EXPECT_EQ(
      accepted(fmt::format("{}, \"rope_theta\": 5e5, \"rope_scaling\": null", kLlama)).rope_theta,
      5e5);
  EXPECT_EQ(accepted(fmt::format("{}, \"rope_parameters\": {{\"rope_type\": \"default\", "
                                 "\"rope_theta\": 1000000}}",
                                 kLlama))
                .rope_theta,
            1e6);
  EXPECT_EQ(refused_llama(R"("rope_scaling": {"type": "linear", "factor": 2})"),
            R"(/rope_scaling: {"type":"linear","factor":2} is not supported)");
  EXPECT_EQ(refused_llama(R"("rope_scaling": 4)"), "/rope_scaling: expected an object, found 4");
  EXPECT_EQ(refused_llama(R"("rope_parameters": {"rope_theta": 0})"),
            "/rope_parameters/rope_theta: expected 1 to 1000000000000, found 0");
}

TEST(ConfigTest, AWindowOfMistralIsRead) {
  const std::string mistral = std::string(kLlama).replace(15, 5, "mistral");
  const std::string_view grouped = R"("num_key_value_heads": 2)";
  EXPECT_EQ(accepted(fmt::format("{}, {}", mistral, grouped)).window, 4096);
  EXPECT_EQ(accepted(fmt::format("{}, {}, \"sliding_window\": 8", mistral, grouped)).window, 8);
  EXPECT_EQ(accepted(fmt::format("{}, {}, \"sliding_window\": null", mistral, grouped)).window, 0);
  EXPECT_EQ(refused(mistral), "/num_key_value_heads: is required");
}

TEST(ConfigTest, EveryFindingIsNamed) {
  EXPECT_EQ(refused(R"("model_type": "bert", "hidden_size": 0, "is_decoder": true,
                       "num_attention_heads": 12, "hidden_act": "tanh")"),
            "/vocab_size: is required; /num_hidden_layers: is required; "
            "/hidden_size: expected 1 to 1048576, found 0; "
            "/max_position_embeddings: is required; /intermediate_size: is required; "
            "/hidden_act: expected one of gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish; "
            "found 'tanh'; /is_decoder: true is not supported");
  EXPECT_EQ(refused(""), "/model_type: is required");
  EXPECT_EQ(refused_llama(R"("head_dim": 0)"), "/head_dim: expected 1 to 4096, found 0");
  EXPECT_EQ(refused_llama(R"("quantization_config": {})"),
            "/quantization_config: {} is not supported");
}

TEST(ConfigTest, RobertasPositionsBeginAfterThePad) {
  const std::string_view roberta = R"("model_type": "roberta", "vocab_size": 100,
      "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
      "num_attention_heads": 4)";
  EXPECT_EQ(accepted(fmt::format("{}, \"max_position_embeddings\": 514", roberta)).positions, 512);
  EXPECT_EQ(refused(fmt::format("{}, \"max_position_embeddings\": 2", roberta)),
            "/max_position_embeddings: leaves no position after pad_token_id");
}

}  // namespace
}  // namespace bcai::vm::huggingface
