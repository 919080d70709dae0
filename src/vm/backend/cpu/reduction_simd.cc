// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/reduction.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

BCAI_INLINE float canonical(float x) { return x != x ? __builtin_nanf("") : x; }

// Where flattened index `index` of the axes lies.
int64_t offset_of(const ReductionAxis* axes, int rank, int64_t index) {
  int64_t offset = 0;
  for (int k = rank - 1; k >= 0; --k) {
    offset += index % axes[k].size * axes[k].stride;
    index /= axes[k].size;
  }
  return offset;
}

// The terms of one output in order: in place where they are one run, else a block at a time.
struct Terms {
  const ReductionArgs& args;
  const float* x;
  float* scratch;

  int64_t count() const {
    int64_t n = 1;
    for (int k = 0; k < args.reduced_rank; ++k) n *= args.reduced[k].size;
    return n;
  }

  // [start, start + n), n at most a block.
  const float* block(int64_t start, int64_t n) const {
    const auto& last = args.reduced[args.reduced_rank - 1];
    if (args.reduced_rank == 1 && last.stride == 1) return x + start;
    for (int64_t i = 0; i < n;) {
      const int64_t position = (start + i) % last.size;
      const int64_t left = last.size - position;
      const int64_t run = left < n - i ? left : n - i;
      const float* from = x + offset_of(args.reduced, args.reduced_rank, start + i);
      for (int64_t k = 0; k < run; ++k) scratch[i + k] = from[k * last.stride];
      i += run;
    }
    return scratch;
  }
};

template <typename Fold>
float folded(const Terms& terms) {
  const auto block = [&](int64_t start, int64_t n) {
    const float* x = terms.block(start, n);
    return reduce_block<S, Fold>(
        n, [x](S::F32 lane, int64_t i, auto part) { return Fold::of(lane, part.load(x + i)); });
  };
  const int64_t n = terms.count();
  return canonical(reduce_blocks<S, Fold>(0, n, reduce_span(n), block));
}

template <bool kLargest>
float extreme_of(const Terms& terms) {
  float best = kLargest ? -__builtin_inff() : __builtin_inff();
  const int64_t n = terms.count();
  for (int64_t start = 0; start < n; start += kReduceBlock) {
    const int64_t size = n - start < kReduceBlock ? n - start : kReduceBlock;
    const float found = extreme<S, kLargest>(terms.block(start, size), size);
    if (found != found) return found;
    if (kLargest ? found > best : found < best) best = found;
  }
  return best + 0.0f;
}

int64_t first_largest(const Terms& terms) {
  const float best = extreme_of<true>(terms);
  const int64_t n = terms.count();
  for (int64_t start = 0; start < n; start += kReduceBlock) {
    const int64_t size = n - start < kReduceBlock ? n - start : kReduceBlock;
    const float* x = terms.block(start, size);
    for (int64_t i = 0; i < size; ++i) {
      if (x[i] == best || (best != best && x[i] != x[i])) return start + i;
    }
  }
  return 0;
}

void run_one(const ReductionArgs& args, int64_t output, const Terms& terms) {
  auto* y = static_cast<float*>(args.y) + output;
  switch (args.kind) {
    case ReductionKind::kSum: *y = folded<SumFold<S>>(terms); return;
    case ReductionKind::kMean:
      *y = folded<SumFold<S>>(terms) / static_cast<float>(terms.count());
      return;
    case ReductionKind::kProduct: *y = folded<ProductFold<S>>(terms); return;
    case ReductionKind::kMax: *y = extreme_of<true>(terms); return;
    case ReductionKind::kMin: *y = extreme_of<false>(terms); return;
    case ReductionKind::kArgMax:
      static_cast<int64_t*>(args.y)[output] = first_largest(terms);
      return;
  }
}

template <typename Fold, typename Part>
BCAI_INLINE S::F32 folded_columns(const float* x, ReductionAxis axis, Part part) {
  return reduce_strided<S, Fold>(
      0, axis.size,
      reduce_span(axis.size), [=](S::F32 lane, int64_t j) __attribute__((always_inline)) {
        return Fold::of(lane, part.load(x + j * axis.stride));
      });
}

template <bool kLargest, typename Part>
BCAI_INLINE S::F32 extreme_columns(const float* x, ReductionAxis axis, Part part) {
  auto best = part.load(x);
  auto nan = S::unordered(best, best);
  for (int64_t j = 1; j < axis.size; ++j) {
    const auto v = part.load(x + j * axis.stride);
    best = kLargest ? S::larger(v, best) : S::smaller(v, best);
    nan = S::either(nan, S::unordered(v, v));
  }
  return S::select(nan, S::set(__builtin_nanf("")), S::add(best, S::set(0.0f)));
}

// Neighbouring outputs, one per vector lane.
template <typename Part>
void run_columns(const ReductionArgs& args, const float* x, float* y, Part part) {
  const auto& axis = args.reduced[0];
  S::F32 v;
  switch (args.kind) {
    case ReductionKind::kProduct: v = folded_columns<ProductFold<S>>(x, axis, part); break;
    case ReductionKind::kMax: v = extreme_columns<true>(x, axis, part); break;
    case ReductionKind::kMin: v = extreme_columns<false>(x, axis, part); break;
    default: v = folded_columns<SumFold<S>>(x, axis, part);
  }
  if (args.kind == ReductionKind::kMean) v = S::div(v, S::set(static_cast<float>(axis.size)));
  part.store(y, canonical_nan<S>(v));
}

void run(const ReductionArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  auto* block = reinterpret_cast<float*>(scratch);
  const auto* last = args.kept_rank > 0 ? &args.kept[args.kept_rank - 1] : nullptr;
  const bool columns = args.reduced_rank == 1 && last != nullptr && last->stride == 1 &&
                       args.kind != ReductionKind::kArgMax;
  for (int64_t output = begin; output < end;) {
    const float* x = args.x + offset_of(args.kept, args.kept_rank, output);
    if (!columns) {
      run_one(args, output, {args, x, block});
      ++output;
      continue;
    }
    const int64_t left = last->size - output % last->size;
    const int64_t n = left < end - output ? left : end - output;
    float* y = static_cast<float*>(args.y) + output;
    for_vectors<S>(n, [&](int64_t i, auto part) { run_columns(args, x + i, y + i, part); });
    output += n;
  }
}

}  // namespace

extern const ReductionKernels kReductionKernels;
const ReductionKernels kReductionKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
