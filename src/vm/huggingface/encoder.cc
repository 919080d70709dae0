// SPDX-License-Identifier: Apache-2.0
// BERT, RoBERTa and DistilBERT: normalised after each residual, masked by attention_mask.
#include <cmath>
#include <limits>

#include "vm/huggingface/families.h"
#include "vm/huggingface/network.h"

namespace bcai::vm::huggingface {
namespace {

// What a checkpoint calls the parts of a layer.
struct LayerNames {
  std::string_view layer;
  std::string_view query, key, value;
  std::string_view attention_output, attention_norm;
  std::string_view inner, output, output_norm;
};
constexpr LayerNames kBertNames = {
    "encoder.layer.",       "attention.self.query",   "attention.self.key",
    "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
    "intermediate.dense",   "output.dense",           "output.LayerNorm"};
constexpr LayerNames kDistilBertNames = {
    "transformer.layer.", "attention.q_lin",   "attention.k_lin",
    "attention.v_lin",    "attention.out_lin", "sa_layer_norm",
    "ffn.lin1",           "ffn.lin2",          "output_layer_norm"};

std::string_view prefix_of(Family family) {
  switch (family) {
    case Family::kRoberta: return "roberta.";
    case Family::kDistilBert: return "distilbert.";
    default: return "bert.";
  }
}

class Encoder {
 public:
  Encoder(const Config& config, const WeightFiles& files, const ImportOptions& options)
      : config_(config),
        names_(config.family == Family::kDistilBert ? kDistilBertNames : kBertNames),
        net_(files, prefix_of(config.family), "embeddings.word_embeddings.weight") {
    if (options.cache != 0) net_.add_finding("an encoder has no states: cache is for decoders");
    SymbolRange sequence = options.sequence;
    if (sequence.max == 0) sequence.max = config.positions;
    if (sequence.max > config.positions) {
      net_.add_finding(fmt::format("a sequence of {} is longer than the model's {} positions",
                                   sequence.max, config.positions));
    }
    const Dim batch = net_.dimension("B", options.batch);
    tokens_ = {batch, net_.dimension("S", sequence)};
  }

  Result<Program> run() {
    Builder& builder = net_.builder();
    const Type ids = {DType::kI32, tokens_};
    input_ids_ = builder.argument("input_ids", ids);
    const ValueId attention_mask = builder.argument("attention_mask", ids);
    if (config_.family == Family::kBert) token_types_ = builder.argument("token_type_ids", ids);
    mask_ = additive_mask(attention_mask);
    ValueId x = embed();
    for (int64_t i = 0; i < config_.layers; ++i) {
      x = layer(x, fmt::format("{}{}{}.", net_.prefix(), names_.layer, i));
      builder.checkpoint(x);
    }
    std::vector<std::pair<std::string, ValueId>> results = {{"last_hidden_state", x}};
    if (net_.has(net_.prefix() + "pooler.dense.weight")) {
      results.emplace_back("pooler_output", pool(x));
    }
    return net_.finish(results);
  }

 private:
  // 0 where a key counts and -inf where it does not, [B,1,1,S].
  ValueId additive_mask(ValueId mask) {
    const ValueId counts = net_.add(Opcode::kCompare, {mask, net_.integer(0)},
                                    {{Attr::kPredicate, static_cast<int64_t>(Predicate::kNe)}});
    const ValueId rows =
        net_.reshape(counts, {DType::kBool, {tokens_[0], Dim(1), Dim(1), tokens_[1]}});
    return net_.add(Opcode::kSelect,
                    {rows, net_.number(0), net_.number(-std::numeric_limits<float>::infinity())});
  }

  std::string embedding(std::string_view name) const {
    return fmt::format("{}embeddings.{}", net_.prefix(), name);
  }

  // The sums are in the order in which transformers adds.
  ValueId embed() {
    const int64_t width = config_.width;
    ValueId x = net_.lookup(embedding("word_embeddings.weight"), config_.vocabulary, width,
                            input_ids_, tokens_);
    const std::string types = embedding("token_type_embeddings.weight");
    if (config_.family == Family::kBert) {
      const ValueId rows = net_.lookup(types, config_.token_types, width, token_types_, tokens_);
      x = net_.add(Opcode::kAdd, {x, rows});
    } else if (config_.family == Family::kRoberta) {
      x = net_.add(Opcode::kAdd, {x, net_.first_rows(types, config_.token_types, 1, width)});
    }
    x = net_.add(Opcode::kAdd, {x, positions()});
    return net_.layer_norm(x, embedding("LayerNorm"), width, config_.epsilon);
  }

  ValueId positions() {
    const std::string table = embedding("position_embeddings.weight");
    if (config_.family != Family::kRoberta) {
      return net_.first_rows(table, config_.positions, tokens_[1], config_.width);
    }
    // Tokens count from after the padding token's row, which padding keeps.
    const ValueId pad = net_.integer(static_cast<int32_t>(config_.pad_token));
    const ValueId is_token = net_.add(Opcode::kCompare, {input_ids_, pad},
                                      {{Attr::kPredicate, static_cast<int64_t>(Predicate::kNe)}});
    const ValueId ones = net_.add_stated(Opcode::kCast, {is_token}, {DType::kI32, tokens_});
    const ValueId count = net_.add(Opcode::kCumSum, {ones}, {{Attr::kAxis, int64_t{1}}});
    const ValueId rows = net_.add(Opcode::kAdd, {net_.add(Opcode::kMul, {count, ones}), pad});
    return net_.lookup(table, config_.positions + config_.pad_token + 1, config_.width, rows,
                       tokens_);
  }

  ValueId dense(ValueId x, std::string name, int64_t in, int64_t out,
                Activation activation = Activation::kNone) {
    return net_.linear(x, {std::move(name), in, out, true, activation});
  }

  ValueId layer(ValueId x, const std::string& prefix) {
    const auto name = [&](std::string_view part) { return fmt::format("{}{}", prefix, part); };
    const int64_t width = config_.width;
    const ValueId q = dense(x, name(names_.query), width, width);
    const ValueId k = dense(x, name(names_.key), width, width);
    const ValueId v = dense(x, name(names_.value), width, width);
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_size)));
    const ValueId attended = net_.add(Opcode::kTransformerAttention, {q, k, v, mask_},
                                      {{Attr::kHeads, config_.heads}, {Attr::kScale, scale}});
    const ValueId attention = dense(attended, name(names_.attention_output), width, width);
    x = net_.layer_norm(net_.add(Opcode::kAdd, {attention, x}), name(names_.attention_norm), width,
                        config_.epsilon);
    const ValueId inner = dense(x, name(names_.inner), width, config_.inner, config_.activation);
    const ValueId output = dense(inner, name(names_.output), config_.inner, width);
    return net_.layer_norm(net_.add(Opcode::kAdd, {output, x}), name(names_.output_norm), width,
                           config_.epsilon);
  }

  // Of the first token.
  ValueId pool(ValueId x) {
    const int64_t width = config_.width;
    const ValueId first = net_.slice(x, {0, 0, 0}, {DType::kF32, {tokens_[0], Dim(1), Dim(width)}});
    const ValueId row = net_.reshape(first, {DType::kF32, {tokens_[0], Dim(width)}});
    return dense(row, net_.prefix() + "pooler.dense", width, width, Activation::kTanh);
  }

  const Config& config_;
  const LayerNames& names_;
  Network net_;
  Shape tokens_;  // [B,S]
  ValueId input_ids_ = kNoValue;
  ValueId token_types_ = kNoValue;
  ValueId mask_ = kNoValue;
};

}  // namespace

Result<Program> import_encoder(const Config& config, const WeightFiles& files,
                               const ImportOptions& options) {
  return Encoder(config, files, options).run();
}

}  // namespace bcai::vm::huggingface
