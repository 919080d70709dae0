// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/decoder.h"

#include <algorithm>
#include <cmath>

namespace bcai::vm::huggingface {
namespace {

constexpr int64_t kCacheRows = 2048;

}  // namespace

CausalDecoder::CausalDecoder(const Config& config, const WeightFiles& files,
                             const ImportOptions& options, std::string_view prefix,
                             std::string_view probe)
    : config_(config), net_(files, prefix, probe) {
  declare(options);
  place_tokens();
}

void CausalDecoder::declare(const ImportOptions& options) {
  const int64_t rows = options.cache == 0 ? std::min(config_.positions, kCacheRows) : options.cache;
  if (rows < 1 || rows > config_.positions) {
    net_.add_finding(fmt::format("a cache of {} rows, expected 1 to {}", rows, config_.positions));
  }
  if (config_.window > 0 && config_.window < rows) {
    net_.add_finding(
        fmt::format("config.json: /sliding_window: {} is not supported for a cache of {} rows",
                    config_.window, rows));
  }
  SymbolRange sequence = options.sequence;
  if (sequence.max == 0) sequence.max = rows;
  if (sequence.max > rows) {
    net_.add_finding(
        fmt::format("a sequence of {} is longer than the cache of {} rows", sequence.max, rows));
  }
  const Dim batch = net_.dimension("B", options.batch);
  tokens_ = {batch, net_.dimension("S", sequence)};
  Builder& builder = net_.builder();
  input_ids_ = builder.argument("input_ids", {DType::kI32, tokens_});
  position_ = builder.argument("position", {DType::kI32, {}});
  const Type state = {DType::kF32, {batch, rows, config_.kv_heads * config_.head_size}, true};
  for (int64_t i = 0; i < config_.layers; ++i) {
    for (const std::string_view kind : {"key", "value"}) {
      const std::string name = fmt::format("{}_{}", kind, i);
      states_.emplace_back(name, builder.argument(name, state));
    }
  }
}

void CausalDecoder::place_tokens() {
  const Dim& length = tokens_[1];
  const ValueId order = net_.add_stated(Opcode::kIota, {}, {DType::kI32, {length}});
  positions_ = net_.add(Opcode::kAdd, {order, position_});
  const ValueId last = net_.slice(positions_, {length - Dim(1)}, {DType::kI32, {1}});
  length_ = net_.add(Opcode::kAdd, {last, net_.integer(1)});
}

ValueId CausalDecoder::attend(int64_t layer, ValueId q, ValueId k, ValueId v) {
  ValueId tensors[2] = {k, v};
  for (size_t i = 0; i < 2; ++i) {
    ValueId& state = states_[2 * static_cast<size_t>(layer) + i].second;
    state = net_.add(Opcode::kKVCacheAppend, {state, tensors[i], position_});
    std::tie(tensors[i], state) = net_.read(state);
  }
  const double scale =
      config_.scaled_attention ? 1 / std::sqrt(static_cast<double>(config_.head_size)) : 1;
  return net_.add(Opcode::kTransformerAttention, {q, tensors[0], tensors[1], kNoValue, length_},
                  {{Attr::kHeads, config_.heads},
                   {Attr::kKvHeads, config_.kv_heads == config_.heads ? 0 : config_.kv_heads},
                   {Attr::kScale, static_cast<float>(scale)},
                   {Attr::kCausal, int64_t{1}}});
}

Result<Program> CausalDecoder::finish(ValueId x, const std::string& embedding) {
  const ValueId head = net_.weight(config_.tied_embeddings ? embedding : "lm_head.weight",
                                   {config_.vocabulary, config_.width});
  const ValueId logits =
      net_.add(Opcode::kTensorMatMul, {x, head}, {{Attr::kTransposeB, int64_t{1}}});
  std::vector<std::pair<std::string, ValueId>> results = {{"logits", logits}};
  results.insert(results.end(), states_.begin(), states_.end());
  return net_.finish(results);
}

}  // namespace bcai::vm::huggingface
