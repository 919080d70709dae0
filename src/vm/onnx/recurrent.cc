// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/ascii.h"
#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

// What all recurrent operators share; the gates are in ONNX's order in the instructions too.
struct Layer {
  Direction direction = Direction::kForward;
  int64_t hidden_size = 0;
  bool batch_first = false;
};

bool default_activations(Site& site, const std::vector<std::string>& one_direction) {
  const Attribute* given = site.attribute("activations");
  if (given == nullptr) return true;
  for (size_t i = 0; i < given->texts.size(); ++i) {
    if (equal_without_case(given->texts[i], one_direction[i % one_direction.size()])) continue;
    site.refuse("the activation {} is not supported", given->texts[i]);
    return false;
  }
  return true;
}

// Sequences of equal length only, which is what an absent or full `sequence_lens` says.
bool full_sequences(Site& site, const Dim& steps) {
  if (!site.has(4)) return true;
  const Elements* lengths = site.known(4);
  if (lengths != nullptr && std::all_of(lengths->begin(), lengths->end(),
                                        [&](const Dim& each) { return each == steps; })) {
    return true;
  }
  site.refuse("sequence_lens is supported only if it is the whole length for each");
  return false;
}

bool read_layer(Site& site, const std::vector<std::string>& activations, Layer* layer) {
  if (!site.require(0, "x") || !site.require(1, "w") || !site.require(2, "r")) return false;
  if (site.rank(0) != 3 || site.rank(2) != 3) {
    site.refuse("x has {} axes and r {}, expected 3", site.rank(0), site.rank(2));
    return false;
  }
  const std::string direction = site.word("direction", "forward");
  const auto word = std::find(kDirectionWords.begin(), kDirectionWords.end(), direction);
  if (word == kDirectionWords.end()) {
    site.refuse("direction is '{}'", direction);
    return false;
  }
  layer->direction = static_cast<Direction>(word - kDirectionWords.begin());
  const Dim& width = site.shape(2)[2];
  layer->hidden_size = site.integer("hidden_size", width.is_constant() ? width.value() : 0);
  layer->batch_first = site.integer("layout", 0) != 0;
  if (site.has_attribute("clip")) site.refuse("clip is not supported");
  return !site.refused() && default_activations(site, activations) &&
         full_sequences(site, site.shape(0)[layer->batch_first ? 1 : 0]);
}

ValueId state(Site& site, size_t input, const Layer& layer) {
  const ValueId value = site.in(input);
  return layer.batch_first && value != kNoValue ? site.transpose(value, {1, 0, 2}) : value;
}

// y is [S, directions, B, H] and states [directions, B, H]; with the batch first [B, S, …, H] and
// [B, directions, H].
void emit(Site& site, Opcode opcode, std::vector<ValueId> operands, const Layer& layer,
          Attributes given) {
  if (layer.batch_first) operands[0] = site.transpose(operands[0], {1, 0, 2});
  given.set(Attr::kDirection, static_cast<int64_t>(layer.direction));
  given.set(Attr::kHiddenSize, layer.hidden_size);
  if (site.refused()) return;
  const std::vector<ValueId> results =
      site.builder().add_all(opcode, std::move(operands), std::move(given));
  for (size_t i = 0; i < results.size(); ++i) {
    if (!site.wants(i)) continue;
    const std::vector<int64_t> order =
        i == 0 ? std::vector<int64_t>{2, 0, 1, 3} : std::vector<int64_t>{1, 0, 2};
    site.out(i, layer.batch_first ? site.transpose(results[i], order) : results[i]);
  }
}

}  // namespace

void import_lstm(Site& site) {
  Layer layer;
  if (!read_layer(site, {"sigmoid", "tanh", "tanh"}, &layer)) return;
  if (site.has(7)) return site.refuse("peepholes are not supported");
  if (site.integer("input_forget", 0) != 0) return site.refuse("input_forget is not supported");
  emit(site, Opcode::kLSTM,
       {site.in(0), site.in(1), site.in(2), site.in(3), state(site, 5, layer),
        state(site, 6, layer)},
       layer, {});
}

void import_gru(Site& site) {
  Layer layer;
  if (!read_layer(site, {"sigmoid", "tanh"}, &layer)) return;
  const int64_t linear = int64_t{site.integer("linear_before_reset", 0) != 0};
  emit(site, Opcode::kGRU, {site.in(0), site.in(1), site.in(2), site.in(3), state(site, 5, layer)},
       layer, attributes({{Attr::kLinearBeforeReset, linear}}));
}

}  // namespace bcai::vm::onnx
