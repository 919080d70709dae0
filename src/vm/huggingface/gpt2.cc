// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/decoder.h"
#include "vm/huggingface/families.h"

namespace bcai::vm::huggingface {
namespace {

class Gpt2 {
 public:
  Gpt2(const Config& config, const WeightFiles& files, const ImportOptions& options)
      : config_(config),
        decoder_(config, files, options, "transformer.", "wte.weight"),
        net_(decoder_.net()) {}

  Result<Program> run() {
    const std::string embedding = net_.prefix() + "wte.weight";
    const int64_t width = config_.width;
    const ValueId words =
        net_.lookup(embedding, config_.vocabulary, width, decoder_.input_ids(), decoder_.tokens());
    const ValueId places = net_.lookup(net_.prefix() + "wpe.weight", config_.positions, width,
                                       decoder_.positions(), {decoder_.tokens()[1]});
    ValueId x = net_.add(Opcode::kAdd, {words, places});
    for (int64_t i = 0; i < config_.layers; ++i) {
      x = layer(x, i);
      net_.builder().checkpoint(x);
    }
    x = net_.layer_norm(x, net_.prefix() + "ln_f", width, config_.epsilon);
    return decoder_.finish(x, embedding);
  }

 private:
  ValueId conv1d(ValueId x, const std::string& name, int64_t in, int64_t out,
                 Activation activation = Activation::kNone) {
    return net_.linear(x, {name, in, out, true, activation, Layout::kConv1D});
  }

  ValueId layer(ValueId x, int64_t number) {
    const std::string prefix = fmt::format("{}h.{}.", net_.prefix(), number);
    const int64_t width = config_.width;
    const ValueId before = net_.layer_norm(x, prefix + "ln_1", width, config_.epsilon);
    const ValueId all = conv1d(before, prefix + "attn.c_attn", width, 3 * width);
    ValueId parts[3];
    for (int64_t i = 0; i < 3; ++i) {
      parts[i] =
          net_.slice(all, {0, 0, i * width},
                     {DType::kF32, {decoder_.tokens()[0], decoder_.tokens()[1], Dim(width)}});
    }
    const ValueId attended = decoder_.attend(number, parts[0], parts[1], parts[2]);
    x = net_.add(Opcode::kAdd, {conv1d(attended, prefix + "attn.c_proj", width, width), x});
    const ValueId after = net_.layer_norm(x, prefix + "ln_2", width, config_.epsilon);
    const ValueId inner =
        conv1d(after, prefix + "mlp.c_fc", width, config_.inner, config_.activation);
    return net_.add(Opcode::kAdd, {x, conv1d(inner, prefix + "mlp.c_proj", config_.inner, width)});
  }

  const Config& config_;
  CausalDecoder decoder_;
  Network& net_;
};

}  // namespace

Result<Program> import_gpt2(const Config& config, const WeightFiles& files,
                            const ImportOptions& options) {
  return Gpt2(config, files, options).run();
}

}  // namespace bcai::vm::huggingface
