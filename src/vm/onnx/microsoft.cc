// SPDX-License-Identifier: Apache-2.0
// Operators of the domain com.microsoft, which onnxruntime's optimizer writes.
#include <cmath>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

Attributes gelu(Gelu kind) {
  return attributes({{Attr::kApproximate, static_cast<int64_t>(kind)}});
}

// input + skip (+ bias), which is result 3.
ValueId skipped(Site& site, size_t bias) {
  for (size_t i = 1; i <= 2; ++i) {
    if (site.wants(i)) site.refuse("the outputs mean and inv_std_var are not supported");
  }
  ValueId sum = site.add(Opcode::kAdd, {site.in(0), site.in(1)});
  if (site.has(bias)) sum = site.add(Opcode::kAdd, {sum, site.in(bias)});
  if (site.wants(3)) site.out(3, sum);
  return sum;
}

// 0 where a key counts and `filter` where it does not, [B,1,1,T], of a mask i32[B,T] of 0 and 1.
ValueId additive_mask(Site& site, size_t input, float filter) {
  const ValueId mask = site.cast(site.in(input), DType::kI32);
  const Shape& shape = site.shape(input);
  const ValueId counts =
      site.add(Opcode::kCompare, {mask, site.scalar_integer(0, DType::kI32)},
               attributes({{Attr::kPredicate, static_cast<int64_t>(Predicate::kNe)}}));
  const ValueId added = site.add(Opcode::kSelect, {counts, site.scalar(0), site.scalar(filter)});
  return site.reshape(added, {shape[0], Dim(1), Dim(1), shape[1]});
}

struct Heads {
  int64_t count = 0;
  float scale = 0;
  float filter = 0;
  bool causal = false;
};

bool read_heads(Site& site, const Dim& width, Heads* heads) {
  heads->count = site.integer("num_heads", 0);
  heads->filter = site.real("mask_filter_value", -10000.0F);
  heads->causal = site.integer("unidirectional", 0) != 0;
  if (heads->count < 1 || heads->count > 4096 || !width.is_constant() ||
      width.value() % heads->count != 0) {
    site.refuse("a width of {} does not divide into {} heads", to_text(width, site.symbols()),
                heads->count);
    return false;
  }
  const auto size = static_cast<float>(width.value() / heads->count);
  const float given = site.real("scale", 0);
  heads->scale = given == 0 ? 1.0F / std::sqrt(size) : given;
  return true;
}

void attend(Site& site, ValueId q, ValueId k, ValueId v, ValueId mask, const Heads& heads) {
  site.out(0, site.add(Opcode::kTransformerAttention, {q, k, v, mask},
                       attributes({{Attr::kHeads, heads.count},
                                   {Attr::kScale, heads.scale},
                                   {Attr::kCausal, int64_t{heads.causal}}})));
}

bool refuse_inputs_from(Site& site, size_t first) {
  for (size_t i = first; i < site.count(); ++i) {
    if (!site.has(i)) continue;
    site.refuse("input {} is not supported", i);
    return true;
  }
  for (size_t i = 1; i < site.node().outputs.size(); ++i) {
    if (!site.wants(i)) continue;
    site.refuse("output {} is not supported", i);
    return true;
  }
  return false;
}

}  // namespace

void import_fast_gelu(Site& site) {
  if (!site.require(0, "x")) return;
  ValueId x = site.in(0);
  if (site.has(1)) x = site.add(Opcode::kAdd, {x, site.in(1)});
  site.out(0, site.add(Opcode::kGelu, {x}, gelu(Gelu::kTanh)));
}

void import_bias_gelu(Site& site) {
  if (!site.require(0, "a") || !site.require(1, "b")) return;
  const ValueId sum = site.add(Opcode::kAdd, {site.in(0), site.in(1)});
  site.out(0, site.add(Opcode::kGelu, {sum}, gelu(Gelu::kErf)));
}

void import_quick_gelu(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId moved =
      site.add(Opcode::kMul, {site.in(0), site.scalar(site.real("alpha", 1.702F))});
  const ValueId gate = site.add(Opcode::kSigmoid, {moved});
  site.out(0, site.add(Opcode::kMul, {site.in(0), gate}));
}

void import_skip_layer_normalization(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "skip") || !site.require(2, "gamma")) return;
  const ValueId sum = skipped(site, 4);
  site.out(0, site.add(Opcode::kLayerNorm, {sum, site.in(2), site.in(3)},
                       attributes({{Attr::kEpsilon, site.real("epsilon", 1e-12F)}})));
}

void import_simplified_layer_normalization(Site& site) {
  if (!site.require(0, "x") || !site.require(1, "scale")) return;
  const auto axis = site.axis_in(site.integer("axis", -1), site.rank(0));
  if (!axis) return;
  if (*axis + 1 != site.rank(0)) return site.refuse("axis {} is not the last", *axis);
  if (site.wants(1)) return site.refuse("the output inv_std_var is not supported");
  if (site.integer("stash_type", 1) != 1) return site.refuse("stash_type is not float");
  site.out(0, site.add(Opcode::kRMSNorm, {site.in(0), site.in(1)},
                       attributes({{Attr::kEpsilon, site.real("epsilon", 1e-5F)}})));
}

void import_skip_simplified_layer_normalization(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "skip") || !site.require(2, "gamma")) return;
  const ValueId sum = skipped(site, 3);
  site.out(0, site.add(Opcode::kRMSNorm, {sum, site.in(2)},
                       attributes({{Attr::kEpsilon, site.real("epsilon", 1e-12F)}})));
}

void import_attention(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "weights")) return;
  if (refuse_inputs_from(site, 4)) return;
  if (site.rank(0) != 3 || site.rank(1) != 2) return site.refuse("expected input [B,S,D]");
  const auto width = exact_quotient(site.shape(1)[1], Dim(3));
  Heads heads;
  if (!width) return site.refuse("weights are not of query, key and value");
  if (!read_heads(site, *width, &heads)) return;
  if (site.has_attribute("qkv_hidden_sizes")) return site.refuse("qkv_hidden_sizes");
  ValueId mask = kNoValue;
  if (site.has(3)) {
    if (site.rank(3) != 2) return site.refuse("mask_index must be [B,T] of 0 and 1");
    mask = additive_mask(site, 3, heads.filter);
  }
  const ValueId all = site.add(Opcode::kTensorMatMul, {site.in(0), site.in(1), site.in(2)});
  const Shape& x = site.shape(0);
  std::vector<ValueId> parts;
  for (int64_t i = 0; i < 3; ++i) {
    parts.push_back(site.slice(all, {Dim(0), Dim(0), Dim(i) * *width}, {x[0], x[1], *width}));
  }
  attend(site, parts[0], parts[1], parts[2], mask, heads);
}

void import_multi_head_attention(Site& site) {
  if (!site.require(0, "query") || !site.require(1, "key") || !site.require(2, "value")) return;
  if (refuse_inputs_from(site, 6)) return;
  if (site.rank(0) != 3 || site.rank(1) != 3 || site.rank(2) != 3) {
    return site.refuse("query, key and value must be [B,S,D]");
  }
  Heads heads;
  if (!read_heads(site, site.shape(0)[2], &heads)) return;
  std::vector<ValueId> parts = {site.in(0), site.in(1), site.in(2)};
  Dim start(0);
  for (size_t i = 0; site.has(3) && i < parts.size(); ++i) {
    const Dim width = site.shape(i)[2];
    const ValueId bias = site.slice(site.in(3), {start}, {width});
    parts[i] = site.add(Opcode::kAdd, {parts[i], bias});
    start = start + width;
  }
  ValueId mask = kNoValue;
  if (site.has(4)) {
    if (site.rank(4) != 2) return site.refuse("key_padding_mask must be [B,T] of 0 and 1");
    mask = additive_mask(site, 4, heads.filter);
  }
  if (site.has(5)) {
    mask = mask == kNoValue ? site.in(5) : site.add(Opcode::kAdd, {mask, site.in(5)});
  }
  attend(site, parts[0], parts[1], parts[2], mask, heads);
}

void import_rotary_embedding(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "position_ids") ||
      !site.require(2, "cos_cache") || !site.require(3, "sin_cache")) {
    return;
  }
  if (site.rank(0) != 3 || site.rank(1) != 2) {
    return site.refuse("supported are input [B,S,D] and position_ids [B,S]");
  }
  if (site.integer("is_packed_batching", 0) != 0 || site.real("scale", 1) != 1) {
    return site.refuse("is_packed_batching and scale are not supported");
  }
  const Dim& pairs = site.shape(2)[1];
  int64_t heads = site.integer("num_heads", 0);
  if (site.integer("rotary_embedding_dim", 0) == 0) {
    const auto count = exact_quotient(site.shape(0)[2], pairs * Dim(2));
    if (!count || !count->is_constant()) return site.refuse("D does not divide into heads");
    heads = count->value();
  }
  const ValueId cosine = site.add(Opcode::kEmbeddingLookup, {site.in(2), site.in(1)});
  const ValueId sine = site.add(Opcode::kEmbeddingLookup, {site.in(3), site.in(1)});
  site.out(
      0,
      site.add(Opcode::kRotaryEmbed, {site.in(0), cosine, sine},
               attributes({{Attr::kHeads, heads},
                           {Attr::kInterleaved, int64_t{site.integer("interleaved", 0) != 0}}})));
}

}  // namespace bcai::vm::onnx
