// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/attention.h"

#include "vm/backend/cpu/attention_blocks.h"
#include "vm/backend/cpu/attention_rows.h"
#include "vm/backend/cpu/attention_step.h"
#include "vm/backend/cpu/pack.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// Pieces of scratch, and where they are in it.
struct Memory {
  float* scores;
  float* sums;
  float* packed_k;
  float* packed_v;
};

struct Head {
  const float* q;
  const float* k;
  const float* v;
  const float* mask;  // of query 0, or null
  float* output;
};

Head head_of(const AttentionArgs& args, int64_t batch, int64_t head) {
  const int64_t kv_head = head / (args.heads / args.kv_heads);
  return {
      .q = args.q + batch * args.q_batch_stride + head * args.head_size,
      .k = args.k + batch * args.k_batch_stride + kv_head * args.head_size,
      .v = args.v + batch * args.v_batch_stride + kv_head * args.head_size,
      .mask = args.mask == nullptr
                  ? nullptr
                  : args.mask + batch * args.mask_batch_stride + head * args.mask_head_stride,
      .output = args.output + batch * args.output_batch_stride + head * args.head_size,
  };
}

// Rows of queries that one head has, with their scores and sums in scratch.
RowSet rows_of(const AttentionArgs& args, int64_t first, int64_t count, float* scores,
               float* sums) {
  RowSet rows{.count = count,
              .scores = scores,
              .score_stride = attention_score_stride(args),
              .sums = sums,
              .sum_stride = attention_sum_stride(args),
              .head_size = args.head_size,
              .keys = {}};
  for (int64_t r = 0; r < count; ++r) rows.keys[r] = attention_keys_of(args, first + r);
  return rows;
}

void soften(const AttentionArgs& args, const Head& head, const RowSet& rows, int64_t first,
            float* totals) {
  constexpr int kSide = kSideBySide<S>;
  for (int64_t r = 0; r < rows.count;) {
    const KeyRange keys = rows.keys[r];
    const ScoreRows scores{
        .x = rows.scores + r * rows.score_stride + keys.begin,
        .stride = rows.score_stride,
        .mask = head.mask == nullptr
                    ? nullptr
                    : head.mask + (first + r) * args.mask_query_stride + keys.begin,
        .mask_stride = args.mask_query_stride,
        .n = keys.end - keys.begin};
    const auto alike = [&](int64_t count) {
      const int64_t last = r + count - 1;
      return last < rows.count && rows.keys[last].begin == keys.begin &&
             rows.keys[last].end == keys.end;
    };
    if (scores.n == 0) {
      totals[r++] = 0;
    } else if (alike(2 * kSide)) {
      exponentials<S, kSide, 2>(scores, args.scale, totals + r);
      r += 2 * kSide;
    } else if (alike(kSide)) {
      exponentials<S, kSide, 1>(scores, args.scale, totals + r);
      r += kSide;
    } else {
      exponentials<S, 1, 1>(scores, args.scale, totals + r++);
    }
  }
}

void store(const AttentionArgs& args, const Head& head, const RowSet& rows, int64_t first,
           const float* totals) {
  for (int64_t r = 0; r < rows.count; ++r) {
    divide<S>(rows.sums + r * rows.sum_stride, totals[r], args.head_size,
              head.output + (first + r) * args.output_stride);
  }
}

void pack_head(const AttentionArgs& args, const Head& head, const Memory& memory) {
  const int64_t keys = attention_key_end(args);
  for (int64_t panel = 0; panel < panel_count(keys); ++panel) {
    pack_panel<S>(head.k, args.k_stride, MatrixLayout::kTransposed, keys, panel, 0, args.head_size,
                  memory.packed_k + panel * kPanelColumns * args.head_size);
  }
  for (int64_t panel = 0; panel < panel_count(args.head_size); ++panel) {
    pack_panel<S>(head.v, args.v_stride, MatrixLayout::kRows, args.head_size, panel, 0, keys,
                  memory.packed_v + panel * kPanelColumns * keys);
  }
}

// Up to kAttentionRows rows of a prompt against the packed keys of their head.
void run_rows(const AttentionArgs& args, const Head& head, const Memory& memory, int64_t first,
              int64_t count) {
  const RowSet rows = rows_of(args, first, count, memory.scores, memory.sums);
  const int64_t keys = attention_key_end(args);
  const int64_t last = panel_count(rows.keys[count - 1].end);
  for (int64_t panel = rows.keys[0].begin / kPanelColumns; panel < last; ++panel) {
    multiply_panel<S>({.a = head.q + first * args.q_stride,
                       .a_stride = args.q_stride,
                       .b = memory.packed_k + panel * kPanelColumns * args.head_size,
                       .depth = args.head_size,
                       .c = rows.scores + panel * kPanelColumns,
                       .c_stride = rows.score_stride},
                      count, panel_width(keys, panel));
  }
  float totals[kAttentionRows];
  soften(args, head, rows, first, totals);
  fill_zero<S>(rows.sums, count * rows.sum_stride);
  add_values<S>(rows, {.panels = memory.packed_v, .begin = 0, .end = keys});
  store(args, head, rows, first, totals);
}

void run_prompt(const AttentionArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t blocks = attention_row_blocks(args);
  const int64_t keys = attention_key_end(args);
  Memory memory{.scores = scratch};
  memory.sums = memory.scores + kAttentionRows * attention_score_stride(args);
  memory.packed_k = memory.sums + kAttentionRows * attention_sum_stride(args);
  memory.packed_v = memory.packed_k + panel_floats(args.head_size, keys);
  const float* packed = nullptr;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t first = unit % blocks * kAttentionRows;
    const int64_t left = args.queries - first;
    const int64_t index = unit / blocks;
    const Head head = head_of(args, index / args.heads, index % args.heads);
    if (head.k != packed) pack_head(args, head, memory);
    packed = head.k;
    run_rows(args, head, memory, first, left < kAttentionRows ? left : kAttentionRows);
  }
}

// Up to kStreamKeys keys as a panel. Meanwhile the next rows (if not null) come into L2, few at a
// time: more would hold up the loads behind them.
void pack_keys(const float* k, const float* next, ptrdiff_t stride, int64_t count, int64_t size,
               float* to) {
  const int64_t width = panel_width(count, 0);
  for (int64_t d = 0; d < size; d += 16) {
    for (int64_t r = 0; next != nullptr && r < kStreamKeys; ++r) {
      __builtin_prefetch(next + r * stride + d, 0, 2);
    }
    transpose<S>(k + d, stride, count, size - d < 16 ? size - d : 16, to + d * width, width);
  }
  if (count == width) return;
  for (int64_t d = 0; d < size; ++d) fill_zero<S>(to + d * width + count, width - count);
}

void pack_values(const float* v, const float* next, ptrdiff_t stride, int64_t count, int64_t size,
                 float* to) {
  for (int64_t r = 0; r < count; ++r, v += stride) {
    for (int64_t panel = 0; panel < panel_count(size); ++panel) {
      const int64_t first = panel * kPanelColumns;
      const int64_t width = panel_width(size, panel);
      const int64_t valid = size - first < width ? size - first : width;
      float* row = to + first * count + r * width;
      if (next != nullptr) {
        __builtin_prefetch(next + r * stride + first, 0, 2);
        __builtin_prefetch(next + r * stride + first + width - 1, 0, 2);
      }
      copy<S>(v + first, valid, row);
      fill_zero<S>(row + valid, width - valid);
    }
  }
}

// kv heads [begin, end) of one batch index side by side. Each has a set of rows per head that reads
// it; with one query, the heads' rows lie next to each other and make one set.
class Stream {
 public:
  Stream(const AttentionArgs& args, int64_t batch, int64_t begin, int64_t end, float* scratch)
      : args_(args),
        batch_(batch),
        begin_(begin),
        end_(end),
        group_(args.heads / args.kv_heads),
        rows_(group_ * args.queries),
        scores_(scratch),
        sums_(scores_ + (end - begin) * rows_ * attention_score_stride(args)),
        totals_(sums_ + (end - begin) * rows_ * attention_sum_stride(args)),
        packed_(scratch + attention_scratch_bytes(args) / int64_t{sizeof(float)} -
                kStreamKeys * attention_sum_stride(args)) {}

  void run() {
    const int64_t keys = attention_key_end(args_);
    fill_zero<S>(sums_, (end_ - begin_) * rows_ * attention_sum_stride(args_));
    for (int64_t key = 0; key < keys; key += kStreamKeys) {
      for (int64_t g = begin_; g < end_; ++g) multiply_keys(g, key, keys);
    }
    for (int64_t g = begin_; g < end_; ++g) {
      for (int64_t h = 0; h < group_; ++h) {
        soften(args_, head(g, h), rows(g, h), 0, totals_of(g, h));
      }
    }
    for (int64_t key = 0; key < keys; key += kStreamKeys) {
      for (int64_t g = begin_; g < end_; ++g) add_block(g, key, keys);
    }
    for (int64_t g = begin_; g < end_; ++g) {
      for (int64_t h = 0; h < group_; ++h) store(args_, head(g, h), rows(g, h), 0, totals_of(g, h));
    }
  }

 private:
  Head head(int64_t g, int64_t h) const { return head_of(args_, batch_, g * group_ + h); }
  RowSet rows(int64_t g, int64_t h) const {
    const int64_t row = (g - begin_) * rows_ + h * args_.queries;
    return rows_of(args_, 0, args_.queries, scores_ + row * attention_score_stride(args_),
                   sums_ + row * attention_sum_stride(args_));
  }
  float* totals_of(int64_t g, int64_t h) const {
    return totals_ + (g - begin_) * rows_ + h * args_.queries;
  }

  // One query per head: its keys and values need no panels.
  bool in_place() const {
    return kStepsInPlace && args_.queries == 1 && group_ <= kStepRows && args_.head_size % 8 == 0;
  }

  // Calls step(Index<n>) for the number of heads that read one kv head.
  template <class Step>
  void with_rows(const Step& step) const {
    switch (group_) {
      case 1: return step(Index<1>{});
      case 2: return step(Index<2>{});
      case 3: return step(Index<3>{});
      default: return step(Index<4>{});
    }
  }

  void multiply_keys(int64_t g, int64_t key, int64_t keys) {
    const Head first = head(g, 0);
    const int64_t count = keys - key < kStreamKeys ? keys - key : kStreamKeys;
    const float* k = first.k + key * args_.k_stride;
    const bool more = key + 2 * kStreamKeys <= keys;
    if (in_place()) {
      with_rows([&](auto r) {
        step_keys<S, r.value>(k, args_.k_stride, count, args_.head_size, {first.q, args_.head_size},
                              {rows(g, 0).scores + key, attention_score_stride(args_)});
      });
      return;
    }
    pack_keys(k, more ? k + kStreamKeys * args_.k_stride : nullptr, args_.k_stride, count,
              args_.head_size, packed_);
    const bool together = args_.queries == 1;
    for (int64_t h = 0; h < (together ? 1 : group_); ++h) {
      multiply_panel<S>({.a = first.q + h * args_.head_size,
                         .a_stride = together ? args_.head_size : args_.q_stride,
                         .b = packed_,
                         .depth = args_.head_size,
                         .c = rows(g, h).scores + key,
                         .c_stride = attention_score_stride(args_)},
                        together ? group_ : args_.queries, panel_width(count, 0));
    }
  }

  void add_block(int64_t g, int64_t key, int64_t keys) {
    const Head first = head(g, 0);
    const int64_t count = keys - key < kStreamKeys ? keys - key : kStreamKeys;
    const float* v = first.v + key * args_.v_stride;
    const bool more = key + 2 * kStreamKeys <= keys;
    if (in_place()) {
      const RowSet all = rows(g, 0);
      const int64_t begin = all.keys[0].begin > key ? all.keys[0].begin : key;
      const int64_t end = all.keys[0].end < key + count ? all.keys[0].end : key + count;
      with_rows([&](auto r) {
        step_values<S, r.value>(v + (begin - key) * args_.v_stride, args_.v_stride, end - begin,
                                args_.head_size, {all.scores + begin, all.score_stride},
                                {all.sums, all.sum_stride});
      });
      return;
    }
    pack_values(v, more ? v + kStreamKeys * args_.v_stride : nullptr, args_.v_stride, count,
                args_.head_size, packed_);
    const ValueBlock values{.panels = packed_, .begin = key, .end = key + count};
    if (args_.queries > 1) {
      for (int64_t h = 0; h < group_; ++h) add_values<S>(rows(g, h), values);
      return;
    }
    RowSet all = rows(g, 0);
    all.count = group_;
    for (int64_t h = 1; h < group_; ++h) all.keys[h] = all.keys[0];
    add_values<S>(all, values);
  }

  const AttentionArgs& args_;
  int64_t batch_;
  int64_t begin_;
  int64_t end_;
  int64_t group_;
  int64_t rows_;
  float* scores_;
  float* sums_;
  float* totals_;
  float* packed_;  // the last piece of scratch
};

void run_stream(const AttentionArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t most = attention_stream_heads(args);
  while (begin < end) {
    const int64_t batch = begin / args.kv_heads;
    const int64_t head = begin % args.kv_heads;
    int64_t count = args.kv_heads - head < most ? args.kv_heads - head : most;
    if (count > end - begin) count = end - begin;
    Stream(args, batch, head, head + count, scratch).run();
    begin += count;
  }
}

void run(const AttentionArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  const auto run_kind = attention_streams(args) ? run_stream : run_prompt;
  run_kind(args, begin, end, reinterpret_cast<float*>(scratch));
}

}  // namespace

extern const AttentionKernels kAttentionKernels;
const AttentionKernels kAttentionKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
