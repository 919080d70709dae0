// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/softmax.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/quotient.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

constexpr int kRowsAtOnce = kSideBySide<S>;

// NaNs are left out of the maximum: their exponentials make the sum NaN, and so the row.
template <int kRows>
BCAI_INLINE void maxima(const float* x, int64_t n, float (&top)[kRows]) {
  for (int r = 0; r < kRows; ++r) top[r] = extreme<S, true, false>(x + r * n, n);
}

// Takes the rows' maxima and leaves those of the rows at `next`: they are found, and these rows
// brought near, while the sums fold.
template <int kRows>
void softmax_rows(const float* x, float* y, int64_t n, const float* next, float (&top)[kRows]) {
  float sums[kRows];
  reduce_rows<S, SumFold<S>, kRows>(
      n,
      [&](auto lanes, int64_t i, auto rows) BCAI_LAMBDA {
        using V = typename decltype(rows)::Simd;
        const auto e = exp_to_89<V>(V::sub(rows.load(x + i, n), rows.set(top)));
        rows.store(y + i, n, e);
        return V::add(lanes, e);
      },
      sums);
  maxima(next, n, top);
  for (int r = 0; r < kRows; ++r) {
    float* row = y + r * n;
    // What is divided is from 0 to 1, unless there is a NaN, which the sum has taken.
    const float total = sums[r], inverse = 1.0f / total;
    if (total != total) {
      for_vectors<S>(n, [=](int64_t i, auto part)
                            BCAI_LAMBDA { part.store(row + i, S::set(__builtin_nanf(""))); });
      continue;
    }
    for_vectors_side_by_side<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
      const QuotientBy<typename decltype(part)::Simd> quotient(total, inverse);
      part.store(row + i, quotient(part.load(row + i)));
    });
  }
}

template <int kRows>
void log_softmax_rows(const float* x, float* y, int64_t n) {
  float top[kRows];
  maxima(x, n, top);
  float sums[kRows];
  reduce_rows<S, SumFold<S>, kRows>(
      n,
      [&](auto lanes, int64_t i, auto rows) BCAI_LAMBDA {
        using V = typename decltype(rows)::Simd;
        return V::add(lanes, exp_to_89<V>(V::sub(rows.load(x + i, n), rows.set(top))));
      },
      sums);
  for (int r = 0; r < kRows; ++r) {
    const auto log_sum = log<S>(S::set(sums[r]));
    const auto center = S::set(top[r]);
    for_vectors<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
      const auto shifted = S::sub(part.load(x + r * n + i), center);
      part.store(y + r * n + i, canonical_nan<S>(S::sub(shifted, log_sum)));
    });
  }
}

// The columns of one vector, n rows at distance `inner`.
template <typename Part>
void softmax_columns(const float* x, float* y, int64_t n, int64_t inner, bool log, Part part) {
  auto top = S::set(-__builtin_inff());
  for (int64_t j = 0; j < n; ++j) top = S::larger(part.load(x + j * inner), top);
  top = S::add(top, S::set(0.0f));  // a zero is +0: the logarithm shows its sign
  const auto step = [=](S::F32 lane, int64_t j) __attribute__((always_inline)) {
    const auto e = exp_to_89<S>(S::sub(part.load(x + j * inner), top));
    if (!log) part.store(y + j * inner, e);
    return S::add(lane, e);
  };
  const auto sum = reduce_strided<S, SumFold<S>>(0, n, reduce_span(n), step);
  if (log) {
    const auto log_sum = bcai::vm::log<S>(sum);
    for (int64_t j = 0; j < n; ++j) {
      const auto shifted = S::sub(part.load(x + j * inner), top);
      part.store(y + j * inner, canonical_nan<S>(S::sub(shifted, log_sum)));
    }
    return;
  }
  // Lanes that are not there hold zeros, and a sum of at least 1.
  const QuotientBy<S> quotient(sum);
  for (int64_t j = 0; j < n; ++j) {
    part.store(y + j * inner, canonical_nan<S>(quotient(part.load(y + j * inner))));
  }
}

template <int kRows>
int64_t softmax_all(const SoftmaxArgs& args, int64_t begin, int64_t end) {
  if (begin + kRows > end) return begin;
  float top[kRows];
  maxima(args.x + begin * args.n, args.n, top);
  for (; begin + kRows <= end; begin += kRows) {
    const int64_t next = begin + 2 * kRows <= end ? begin + kRows : begin;
    softmax_rows<kRows>(args.x + begin * args.n, args.y + begin * args.n, args.n,
                        args.x + next * args.n, top);
  }
  return begin;
}

template <int kRows>
int64_t log_softmax_all(const SoftmaxArgs& args, int64_t begin, int64_t end) {
  for (; begin + kRows <= end; begin += kRows) {
    log_softmax_rows<kRows>(args.x + begin * args.n, args.y + begin * args.n, args.n);
  }
  return begin;
}

void run(const SoftmaxArgs& args, int64_t begin, int64_t end, std::byte*) {
  if (args.inner == 1) {
    if (args.log) {
      log_softmax_all<1>(args, log_softmax_all<kRowsAtOnce>(args, begin, end), end);
    } else {
      softmax_all<1>(args, softmax_all<kRowsAtOnce>(args, begin, end), end);
    }
    return;
  }
  const int64_t groups = (args.inner + kSoftmaxColumns - 1) / kSoftmaxColumns;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t column = unit % groups * kSoftmaxColumns;
    const int64_t start = unit / groups * args.n * args.inner + column;
    const int64_t left = args.inner - column;
    for_vectors<S>(left < kSoftmaxColumns ? left : kSoftmaxColumns, [&](int64_t i, auto part) {
      softmax_columns(args.x + start + i, args.y + start + i, args.n, args.inner, args.log, part);
    });
  }
}

}  // namespace

extern const SoftmaxKernels kSoftmaxKernels;
const SoftmaxKernels kSoftmaxKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
