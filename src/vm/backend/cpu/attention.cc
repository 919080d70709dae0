// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/attention.h"

#include <algorithm>

#include "vm/backend/cpu/attention_blocks.h"
#include "vm/backend/cpu/panel.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(AttentionKernels, kAttentionKernels)

namespace {

constexpr int64_t kStreamScoreBytes = 256 << 10;

int64_t rows_per_kv_head(const AttentionArgs& args) {
  return args.heads / args.kv_heads * args.queries;
}

}  // namespace

const AttentionKernels& attention_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kAttentionKernels);
}

bool attention_streams(const AttentionArgs& args) {
  return rows_per_kv_head(args) <= kAttentionStreamRows;
}

int64_t attention_row_blocks(const AttentionArgs& args) {
  return (args.queries + kAttentionRows - 1) / kAttentionRows;
}

int64_t attention_stream_heads(const AttentionArgs& args) {
  const int64_t bytes =
      rows_per_kv_head(args) * attention_score_stride(args) * int64_t{sizeof(float)};
  return std::clamp(kStreamScoreBytes / std::max<int64_t>(bytes, 1), int64_t{1}, args.kv_heads);
}

// Not whole pages: the rows would compete for one set of L1.
int64_t attention_score_stride(const AttentionArgs& args) {
  return round_up(attention_key_end(args), kPanelColumns) + 16;
}

int64_t attention_sum_stride(const AttentionArgs& args) {
  return round_up(args.head_size, kPanelColumns);
}

int64_t attention_key_end(const AttentionArgs& args) {
  if (!args.causal) return args.keys;
  return std::clamp(args.offset + args.queries, int64_t{0}, args.keys);
}

KeyRange attention_keys_of(const AttentionArgs& args, int64_t query) {
  const int64_t position = args.offset + query;
  const int64_t end = args.causal ? std::clamp(position + 1, int64_t{0}, args.keys) : args.keys;
  int64_t begin = args.window > 0 ? std::max(position + 1 - args.window, int64_t{0}) : 0;
  begin = std::min(begin, end);
  return {begin, end};
}

int64_t attention_units(const AttentionArgs& args) {
  if (args.queries == 0) return 0;
  if (attention_streams(args)) return args.batch * args.kv_heads;
  return args.batch * args.heads * attention_row_blocks(args);
}

int64_t attention_scratch_bytes(const AttentionArgs& args) {
  if (args.queries == 0) return 0;
  const int64_t row = attention_score_stride(args) + attention_sum_stride(args);
  int64_t floats;
  if (attention_streams(args)) {
    floats = round_up(attention_stream_heads(args) * rows_per_kv_head(args) * (row + 1), 16) +
             kStreamKeys * attention_sum_stride(args);
  } else {
    const int64_t keys = attention_key_end(args);
    floats = kAttentionRows * row + panel_floats(args.head_size, keys) +
             panel_floats(keys, args.head_size);
  }
  return round_up(floats * int64_t{sizeof(float)}, 64);
}

}  // namespace bcai::vm
