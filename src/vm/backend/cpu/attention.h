// SPDX-License-Identifier: Apache-2.0
// Attention in f32 with the bits of numeric profile n1. For the query at row i of head h, over the
// keys j of its range in ascending order:
//   s_j = (q . k_j, one chain of fused multiply-adds over d from +0) * scale, rounded
//         + mask_j, rounded, where there is a mask
//   p_j = exp(s_j - m), m the largest s_j
//   out_d = (the chain of fused multiply-adds p_j * v_jd over j from +0) / (the sum of p_j by rule
//           R4, counted from the first key of the range), one IEEE division
// Keys that causality or the window hide are not in the range, so they are not even added as zeros:
// a row of a long prompt has the bits of the same row computed alone. A row without keys, or whose
// scores are all minus infinity, gives zeros. A NaN among a row's scores makes its outputs NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vm/numerics/simd_level.h"

namespace bcai::vm {

// Strides count floats. Operands are read where they are: a stride may step over the other parts of
// a packed QKV row or be that of a cache.
struct AttentionArgs {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t kv_heads = 1;  // divides heads; head h reads kv head h / (heads / kv_heads)
  int64_t head_size = 0;
  int64_t queries = 0;  // rows of q
  int64_t keys = 0;     // rows of k and v
  const float* q = nullptr;
  int64_t q_stride = 0;  // from row to row; the heads of a row are next to each other
  int64_t q_batch_stride = 0;
  const float* k = nullptr;
  int64_t k_stride = 0;
  int64_t k_batch_stride = 0;
  const float* v = nullptr;
  int64_t v_stride = 0;
  int64_t v_batch_stride = 0;
  float* output = nullptr;  // as q; overlaps no operand
  int64_t output_stride = 0;
  int64_t output_batch_stride = 0;
  float scale = 1;
  const float* mask = nullptr;  // added to the scores, keys next to each other; may be null
  int64_t mask_batch_stride = 0;
  int64_t mask_head_stride = 0;
  int64_t mask_query_stride = 0;
  bool causal = false;  // query i sees keys up to offset + i
  int64_t offset = 0;   // position of the first query among the keys
  int64_t window = 0;   // if not 0, query i sees only the keys after offset + i - window
};

// Independent pieces: of a prompt, a few rows of one head; of a decoding step, one kv head.
int64_t attention_units(const AttentionArgs& args);

// What one call of run() needs, aligned to 64 bytes; the same for every level and range.
int64_t attention_scratch_bytes(const AttentionArgs& args);

struct AttentionKernels {
  void (*run)(const AttentionArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

const AttentionKernels& attention_kernels(SimdLevel level);

}  // namespace bcai::vm
