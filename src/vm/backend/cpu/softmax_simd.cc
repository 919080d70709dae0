// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/softmax.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/quotient.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// NaNs are left out of the maximum: their exponentials make the sum NaN, and so the row.
void softmax_row(const float* x, float* y, int64_t n) {
  const auto top = S::set(extreme<S, true, false>(x, n));
  const float sum = reduce<S, SumFold<S>>(
      n, [=](S::F32 lane, int64_t i, auto part) __attribute__((always_inline)) {
        const auto e = exp<S>(S::sub(part.load(x + i), top));
        part.store(y + i, e);
        return S::add(lane, e);
      });
  const QuotientBy<S> quotient(S::set(sum));
  for_vectors<S>(
      n, [&](int64_t i, auto part) __attribute__((always_inline)) {
        part.store(y + i, canonical_nan<S>(quotient(part.load(y + i))));
      });
}

void log_softmax_row(const float* x, float* y, int64_t n) {
  const auto top = S::set(extreme<S, true, false>(x, n));
  const float sum = reduce<S, SumFold<S>>(
      n, [=](S::F32 lane, int64_t i, auto part) __attribute__((always_inline)) {
        return S::add(lane, exp<S>(S::sub(part.load(x + i), top)));
      });
  const auto log_sum = log<S>(S::set(sum));
  for_vectors<S>(
      n, [&](int64_t i, auto part) __attribute__((always_inline)) {
        const auto shifted = S::sub(part.load(x + i), top);
        part.store(y + i, canonical_nan<S>(S::sub(shifted, log_sum)));
      });
}

// The columns of one vector, n rows at distance `inner`.
template <typename Part>
void softmax_columns(const float* x, float* y, int64_t n, int64_t inner, bool log, Part part) {
  auto top = S::set(-__builtin_inff());
  for (int64_t j = 0; j < n; ++j) top = S::larger(part.load(x + j * inner), top);
  const auto step = [=](S::F32 lane, int64_t j) __attribute__((always_inline)) {
    const auto e = exp<S>(S::sub(part.load(x + j * inner), top));
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

void run(const SoftmaxArgs& args, int64_t begin, int64_t end, std::byte*) {
  if (args.inner == 1) {
    const auto row = args.log ? log_softmax_row : softmax_row;
    for (int64_t r = begin; r < end; ++r) row(args.x + r * args.n, args.y + r * args.n, args.n);
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
