// SPDX-License-Identifier: Apache-2.0
// How attention is cut. None of it changes a bit.
#pragma once

#include "vm/backend/cpu/attention.h"

namespace bcai::vm {

// Rows of a prompt in one unit: panels of keys come from L2 once for all of them. A multiple of
// the rows of the widest tile, and of those whose exponentials are computed side by side.
inline constexpr int64_t kAttentionRows = 48;
// Most rows that share a key where keys stream from memory.
inline constexpr int64_t kAttentionStreamRows = 12;
// Keys that are packed and used at once where they stream from memory.
inline constexpr int64_t kStreamKeys = 32;

// Few rows per kv head: k and v are read once, in order, where they are. Otherwise each thread
// packs the k and v of a head into panels.
bool attention_streams(const AttentionArgs& args);
// Blocks of kAttentionRows rows of a prompt.
int64_t attention_row_blocks(const AttentionArgs& args);
// kv heads that a stream takes side by side, so that it reads long rows.
int64_t attention_stream_heads(const AttentionArgs& args);

// Floats from one row of scores, and of sums, to the next.
int64_t attention_score_stride(const AttentionArgs& args);
int64_t attention_sum_stride(const AttentionArgs& args);

// Keys that any query sees are [0, end).
int64_t attention_key_end(const AttentionArgs& args);

struct KeyRange {
  int64_t begin;
  int64_t end;  // begin where the row has no keys
};
KeyRange attention_keys_of(const AttentionArgs& args, int64_t query);

}  // namespace bcai::vm
