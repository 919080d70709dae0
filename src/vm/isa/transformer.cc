// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

int64_t kv_heads_of(const InstructionView& view) {
  const int64_t given = int_of(view, Attr::kKvHeads);
  return given == 0 ? int_of(view, Attr::kHeads) : given;
}

std::vector<Type> infer_attention(const InstructionView& view, Judgement& judgement) {
  const Shape& q = operand(view, 0).shape;
  const Shape& k = operand(view, 1).shape;
  const Shape& v = operand(view, 2).shape;
  if (!require_rank(view, 0, 3, judgement) || !require_rank(view, 1, 3, judgement) ||
      !require_rank(view, 2, 3, judgement)) {
    return {};
  }
  const int64_t heads = int_of(view, Attr::kHeads);
  const int64_t kv_heads = kv_heads_of(view);
  const Dim head_dim = floor_div(q[2], heads);
  judgement.require(heads % kv_heads == 0, "V12", "{} heads do not divide by {} kv_heads", heads,
                    kv_heads);
  judgement.require(head_dim * Dim(heads) == q[2] && judgement.at_most(Dim(1), head_dim), "V12",
                    "the width {} of query does not divide into {} heads", judgement.text(q[2]),
                    heads);
  require_shape(view, 1, {q[0], k[1], head_dim * Dim(kv_heads)}, judgement);
  const Dim value_dim = floor_div(v[2], kv_heads);
  judgement.require(v[0] == q[0] && v[1] == k[1] && value_dim * Dim(kv_heads) == v[2], "V12",
                    "value is {}, expected [{},{},a multiple of {}]", judgement.text(v),
                    judgement.text(q[0]), judgement.text(k[1]), kv_heads);
  if (has_operand(view, 3)) {
    broadcasts_to(operand(view, 3).shape, {q[0], Dim(heads), q[1], k[1]}, judgement);
  }
  if (has_operand(view, 4)) {
    require_dtype(view, 4, DTypeSet(DType::kI32), judgement);
    broadcasts_to(operand(view, 4).shape, {q[0]}, judgement);
  } else if (int_of(view, Attr::kCausal) != 0) {
    judgement.require(judgement.at_most(q[1], k[1]), "V12", "{} queries, only {} keys",
                      judgement.text(q[1]), judgement.text(k[1]));
  }
  return {{DType::kF32, {q[0], q[1], value_dim * Dim(heads)}}};
}

// Two products of S*T for each head, and ten FLOPs for each score.
Dim work_attention(const InstructionView& view) {
  const Shape& q = operand(view, 0).shape;
  const Shape& k = operand(view, 1).shape;
  const Shape& v = operand(view, 2).shape;
  const int64_t heads = int_of(view, Attr::kHeads);
  const Dim scores = q[0] * q[1] * k[1];
  const Dim value_width = floor_div(v[2], kv_heads_of(view)) * Dim(heads);
  return scores * (Dim(2) * q[2] + Dim(2) * value_width + Dim(10 * heads));
}

std::vector<Type> infer_rotary(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const Shape& cosine = operand(view, 1).shape;
  if (!require_rank(view, 0, 3, judgement)) return {};
  const int64_t heads = int_of(view, Attr::kHeads);
  const Dim head_dim = floor_div(x.shape[2], heads);
  judgement.require(head_dim * Dim(heads) == x.shape[2], "V12",
                    "the width {} of x does not divide into {} heads", judgement.text(x.shape[2]),
                    heads);
  if (!judgement.require(cosine.rank() == 2 || cosine.rank() == 3, "V12",
                         "cosine is {}, expected [S,R] or [B,S,R]", judgement.text(cosine))) {
    return {};
  }
  const Dim& pairs = cosine[cosine.rank() - 1];
  const Shape expected =
      cosine.rank() == 2 ? Shape{x.shape[1], pairs} : Shape{x.shape[0], x.shape[1], pairs};
  require_shape(view, 1, expected, judgement);
  require_shape(view, 2, expected, judgement);
  judgement.require(judgement.at_most(pairs * Dim(2), head_dim), "V12",
                    "{} pairs do not fit into a head of {}", judgement.text(pairs),
                    judgement.text(head_dim));
  return {{x.dtype, x.shape}};
}

bool require_state(const InstructionView& view, size_t index, Judgement& judgement) {
  return judgement.require(operand(view, index).is_state, "V23", "{} is {}, expected a state",
                           operand_text(view, index), judgement.text(operand(view, index)));
}

std::vector<Type> infer_append(const InstructionView& view, Judgement& judgement) {
  const Type& state = operand(view, 0);
  const Shape& x = operand(view, 1).shape;
  if (!require_state(view, 0, judgement) || !require_rank(view, 0, 3, judgement) ||
      !require_rank(view, 1, 3, judgement)) {
    return {};
  }
  require_shape(view, 1, {state.shape[0], x[1], state.shape[2]}, judgement);
  judgement.require(judgement.at_most(x[1], state.shape[1]), "V14", "{} rows into a state of {}",
                    judgement.text(x[1]), judgement.text(state.shape[1]));
  require_dtype(view, 2, DTypeSet(DType::kI32), judgement);
  require_shape(view, 2, {}, judgement);
  return {state};
}

std::vector<Type> infer_read(const InstructionView& view, Judgement& judgement) {
  if (!require_state(view, 0, judgement)) return {};
  const Type& state = operand(view, 0);
  return {{state.dtype, state.shape}, state};
}

std::vector<Type> infer_embedding(const InstructionView& view, Judgement& judgement) {
  const Type& table = operand(view, 0);
  const Shape& indices = operand(view, 1).shape;
  require_dtype(view, 1, kIndex, judgement);
  if (!require_rank(view, 0, 2, judgement) ||
      !judgement.require(indices.rank() < kRankMax, "V7", "the result has rank {}",
                         indices.rank() + 1)) {
    return {};
  }
  judgement.require(judgement.at_most(Dim(1), table.shape[0]), "V15", "the table may be empty");
  Type result{table.dtype, indices};
  result.shape.push_back(table.shape[1]);
  return {result};
}

}  // namespace

namespace classes {

const InstructionClass kAttention = {
    .name = "Attention",
    .operands = {{"query", "[B,S,heads*D]"},
                 {"key", "[B,T,kv_heads*D]"},
                 {"value", "[B,T,kv_heads*E]"},
                 {"mask", "broadcast to [B,heads,S,T]", true},
                 {"length", "i32[] or i32[B]: only the first `length` keys count", true, true}},
    .results = {"y"},
    .rule =
        "[B,S,heads*E]; heads divide by kv_heads (V12). With `causal`, query s stands at "
        "position length - S + s",
    .infer = infer_attention,
    .work = work_attention};
const InstructionClass kRotary = {
    .name = "Rotary",
    .operands = {{"x", "[B,S,heads*D]"}, {"cosine", "[S,R] or [B,S,R]"}, {"sine", "as cosine"}},
    .results = {"y"},
    .rule = "the type of x; 2R <= D (V12)",
    .infer = infer_rotary,
    .work = work_first_operand};
const InstructionClass kCacheAppend = {
    .name = "CacheAppend",
    .operands = {{"state", "state [B,L,W]"}, {"x", "[B,S,W]"}, {"position", "i32[]", false, true}},
    .results = {"state"},
    .rule = "the state; rows outside end the run (V14, V15)",
    .infer = infer_append,
    .work = work_nothing};
const InstructionClass kCacheRead = {.name = "CacheRead",
                                     .operands = {{"state", "state [..]"}},
                                     .results = {"y", "state"},
                                     .view = true,
                                     .rule = "the state's tensor, and the state",
                                     .infer = infer_read,
                                     .work = work_nothing};
const InstructionClass kEmbedding = {
    .name = "Embedding",
    .operands = {{"table", "[V,D]"}, {"indices", "i32 or i64 [..]", false, true}},
    .results = {"y"},
    .rule = "[..,D]; indices are checked when it runs (V15)",
    .infer = infer_embedding,
    .work = work_nothing};

}  // namespace classes
}  // namespace bcai::vm
