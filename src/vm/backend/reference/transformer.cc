// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"
#include "vm/backend/reference/sum.h"

namespace bcai::vm::reference {
namespace {

// The keys [first, last) that a query may see.
struct KeyRange {
  int64_t first;
  int64_t last;
};

struct AttentionShape {
  int64_t batch, queries, keys, heads, kv_heads, head_dim, value_dim;
};

Result<KeyRange> keys_of(const Step& step, const AttentionShape& shape, int64_t batch,
                         int64_t query) {
  int64_t length = shape.keys;
  if (step.has(4)) {
    const Tensor& lengths = step.operand(4);
    length = lengths.data<int32_t>()[lengths.elements() == 1 ? 0 : batch];
    const bool causal = step.get_int(Attr::kCausal) != 0;
    if (length < (causal ? shape.queries : 0) || length > shape.keys) {
      return error(ErrorCode::kInvalidArgument,
                   "TransformerAttention: length {} is outside {} to {}", length,
                   causal ? shape.queries : 0, shape.keys);
    }
  }
  const int64_t position = length - shape.queries + query;
  KeyRange range{0, length};
  if (step.get_int(Attr::kCausal) != 0) range.last = position + 1;
  const int64_t window = step.get_int(Attr::kWindow);
  if (window > 0) range.first = std::max<int64_t>(0, position - window + 1);
  return range;
}

// One query and head: the whole score row, then softmax, then the weighted values in key order,
// divided by the sum at the end.
void attend(const Step& step, const AttentionShape& shape, int64_t batch, int64_t query,
            int64_t head, KeyRange range) {
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const float* const q = step.operand(0).data<float>() +
                         ((batch * shape.queries + query) * shape.heads + head) * shape.head_dim;
  float* const out = step.results[0].data<float>() +
                     ((batch * shape.queries + query) * shape.heads + head) * shape.value_dim;
  std::vector<float> scores;
  for (int64_t j = range.first; j < range.last; ++j) {
    const float* const k = step.operand(1).data<float>() +
                           ((batch * shape.keys + j) * shape.kv_heads + kv_head) * shape.head_dim;
    float score = 0;
    for (int64_t d = 0; d < shape.head_dim; ++d) score = std::fma(q[d], k[d], score);
    score *= step.get_float(Attr::kScale);
    if (step.has(3)) {
      const Tensor& mask = step.operand(3);
      score +=
          mask.data<float>()[offset_of({batch, head, query, j}, broadcast_strides(mask.dims(), 4))];
    }
    scores.push_back(score);
  }
  if (scores.empty()) return;
  float most = scores[0] + 0.0F;
  for (const float score : scores) most = maximum(most, score);
  if (most == -std::numeric_limits<float>::infinity()) return;  // every key is masked: zeros
  for (float& score : scores) score = exp_n1(score - most);
  const float sum = sum_r4(scores);
  for (int64_t d = 0; d < shape.value_dim; ++d) {
    float weighted = 0;
    for (int64_t j = range.first; j < range.last; ++j) {
      const float v =
          step.operand(2).data<float>()[((batch * shape.keys + j) * shape.kv_heads + kv_head) *
                                            shape.value_dim +
                                        d];
      weighted = std::fma(scores[static_cast<size_t>(j - range.first)], v, weighted);
    }
    out[d] = canonical(weighted / sum);
  }
}

}  // namespace

Result<void> attention(const Step& step) {
  const Tensor& q = step.operand(0);
  const Tensor& k = step.operand(1);
  const int64_t heads = step.get_int(Attr::kHeads);
  const int64_t given = step.get_int(Attr::kKvHeads);
  const int64_t kv_heads = given == 0 ? heads : given;
  const AttentionShape shape = {q.dims()[0],
                                q.dims()[1],
                                k.dims()[1],
                                heads,
                                kv_heads,
                                q.dims()[2] / heads,
                                step.operand(2).dims()[2] / kv_heads};
  for (int64_t batch = 0; batch < shape.batch; ++batch) {
    for (int64_t query = 0; query < shape.queries; ++query) {
      BCAI_TRY_ASSIGN(const KeyRange range, keys_of(step, shape, batch, query));
      for (int64_t head = 0; head < heads; ++head) attend(step, shape, batch, query, head, range);
    }
  }
  return {};
}

Result<void> rotary(const Step& step) {
  const Tensor& x = step.operand(0);
  const Tensor& cosine = step.operand(1);
  const Tensor& sine = step.operand(2);
  Tensor& y = step.results[0];
  const int64_t heads = step.get_int(Attr::kHeads);
  const int64_t head_dim = x.dims()[2] / heads;
  const int64_t pairs = cosine.dims().back();
  const bool interleaved = step.get_int(Attr::kInterleaved) != 0;
  std::copy(x.bytes().begin(), x.bytes().end(), y.bytes().begin());
  const int64_t steps = x.dims()[1];
  for (int64_t row = 0; row < x.dims()[0] * steps; ++row) {
    const int64_t angle = (cosine.rank() == 2 ? row % steps : row) * pairs;
    for (int64_t head = 0; head < heads; ++head) {
      const float* const in = x.data<float>() + (row * heads + head) * head_dim;
      float* const out = y.data<float>() + (row * heads + head) * head_dim;
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t first = interleaved ? 2 * i : i;
        const int64_t second = interleaved ? 2 * i + 1 : i + pairs;
        const float c = cosine.data<float>()[angle + i];
        const float s = sine.data<float>()[angle + i];
        out[first] = canonical(std::fma(in[first], c, -(in[second] * s)));
        out[second] = canonical(std::fma(in[second], c, in[first] * s));
      }
    }
  }
  return {};
}

Result<void> cache_append(const Step& step) {
  const Tensor& state = step.operand(0);
  const Tensor& x = step.operand(1);
  Tensor& y = step.results[0];
  const int64_t rows = state.dims()[1];
  const int64_t width = state.dims()[2];
  const int64_t added = x.dims()[1];
  const int64_t position = step.operand(2).data<int32_t>()[0];
  if (position < 0 || position + added > rows) {
    return error(ErrorCode::kInvalidArgument,
                 "KVCacheAppend: {} rows at position {} leave the state's {}", added, position,
                 rows);
  }
  std::copy(state.bytes().begin(), state.bytes().end(), y.bytes().begin());
  for (int64_t batch = 0; batch < state.dims()[0]; ++batch) {
    std::copy_n(x.data<float>() + batch * added * width, added * width,
                y.data<float>() + (batch * rows + position) * width);
  }
  return {};
}

Result<void> cache_read(const Step& step) {
  for (Tensor& y : step.results) {
    std::copy(step.operand(0).bytes().begin(), step.operand(0).bytes().end(), y.bytes().begin());
  }
  return {};
}

}  // namespace bcai::vm::reference
