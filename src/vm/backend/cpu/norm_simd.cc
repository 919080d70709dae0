// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/norm.h"

#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/reduce.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

BCAI_INLINE float canonical(float x) { return x != x ? __builtin_nanf("") : x; }

BCAI_INLINE float inverse_root(float x) { return 1.0f / __builtin_sqrtf(x); }

// Rows of y: scaled(v, row) of x's v, with what is there of gamma and beta.
template <bool kGamma, bool kBeta, int kRows, typename Scaled>
BCAI_INLINE void write_rows_as(const NormArgs& args, int64_t row, const float* x, Scaled scaled) {
  const int64_t n = args.n;
  float* y = args.y + row * n;
  const float* gamma_of = args.gamma;
  const float* beta_of = args.beta;
  for_vectors<S>(n, [=](int64_t i, auto part) BCAI_LAMBDA {
    S::F32 gamma, beta;
    if constexpr (kGamma) gamma = part.load(gamma_of + i);
    if constexpr (kBeta) beta = part.load(beta_of + i);
    unroll<kRows>([&](auto r) BCAI_LAMBDA {
      auto v = scaled(part.load(x + r.value * n + i), r.value);
      if constexpr (kGamma && kBeta) {
        v = S::fma(v, gamma, beta);
      } else if constexpr (kGamma) {
        v = S::mul(v, gamma);
      } else if constexpr (kBeta) {
        v = S::add(v, beta);
      }
      part.store(y + r.value * n + i, canonical_nan<S>(v));
    });
  });
}

template <int kRows, typename Scaled>
BCAI_INLINE void write_rows(const NormArgs& args, int64_t row, const float* x, Scaled scaled) {
  if (args.gamma != nullptr && args.beta != nullptr) {
    write_rows_as<true, true, kRows>(args, row, x, scaled);
  } else if (args.gamma != nullptr) {
    write_rows_as<true, false, kRows>(args, row, x, scaled);
  } else if (args.beta != nullptr) {
    write_rows_as<false, true, kRows>(args, row, x, scaled);
  } else {
    write_rows_as<false, false, kRows>(args, row, x, scaled);
  }
}

// Rows that are taken side by side, so that none waits for its own last addition.
constexpr int kRowsAtOnce = 4;

// The sums of take(lane, v) over the v of kRows rows. Returns where these v lie: in x, or with a
// residual in y.
template <int kRows, typename Take>
BCAI_INLINE const float* reduce_first(const NormArgs& args, int64_t row, Take take,
                                      float (&sums)[kRows]) {
  const int64_t n = args.n;
  const float* x = args.x + row * n;
  float* y = args.y + row * n;
  if (args.residual == nullptr) {
    reduce_rows<S, SumFold<S>, kRows>(
        n,
        [=](auto lanes, int64_t i, auto rows)
            BCAI_LAMBDA { return take(rows, lanes, rows.load(x + i, n)); },
        sums);
    return x;
  }
  const float* residual = args.residual + row * n;
  reduce_rows<S, SumFold<S>, kRows>(
      n,
      [=](auto lanes, int64_t i, auto rows) BCAI_LAMBDA {
        const auto v = decltype(rows)::Simd::add(rows.load(x + i, n), rows.load(residual + i, n));
        rows.store(y + i, n, v);
        return take(rows, lanes, v);
      },
      sums);
  return y;
}

template <int kRows>
void layer_norm_rows(const NormArgs& args, int64_t row) {
  const auto count = static_cast<float>(args.n);
  const int64_t n = args.n;
  float mean[kRows], variance[kRows];
  const float* x = reduce_first(
      args, row,
      [](auto rows, auto lanes, auto v) BCAI_LAMBDA { return decltype(rows)::Simd::add(lanes, v); },
      mean);
  for (float& each : mean) each /= count;
  reduce_rows<S, SumFold<S>, kRows>(
      n,
      [&](auto lanes, int64_t i, auto rows) BCAI_LAMBDA {
        using V = typename decltype(rows)::Simd;
        const auto d = V::sub(rows.load(x + i, n), rows.set(mean));
        return V::fma(d, d, lanes);
      },
      variance);
  float scale[kRows];
  for (int r = 0; r < kRows; ++r) {
    scale[r] = inverse_root(variance[r] / count + args.epsilon);
    if (args.mean != nullptr) args.mean[row + r] = canonical(mean[r]);
    if (args.scale != nullptr) args.scale[row + r] = canonical(scale[r]);
  }
  write_rows<kRows>(args, row, x, [&](S::F32 v, int r) BCAI_LAMBDA {
    return S::mul(S::sub(v, S::set(mean[r])), S::set(scale[r]));
  });
}

template <int kRows>
void rms_norm_rows(const NormArgs& args, int64_t row) {
  const int64_t n = args.n;
  float squares[kRows];
  const float* x = reduce_first(
      args, row,
      [](auto rows, auto lanes, auto v)
          BCAI_LAMBDA { return decltype(rows)::Simd::fma(v, v, lanes); },
      squares);
  float scale[kRows];
  for (int r = 0; r < kRows; ++r) {
    scale[r] = inverse_root(squares[r] / static_cast<float>(n) + args.epsilon);
    if (args.scale != nullptr) args.scale[row + r] = canonical(scale[r]);
  }
  write_rows<kRows>(args, row, x,
                    [&](S::F32 v, int r) BCAI_LAMBDA { return S::mul(v, S::set(scale[r])); });
}

void layer_norm(const NormArgs& args, int64_t begin, int64_t end, std::byte*) {
  for (; begin + kRowsAtOnce <= end; begin += kRowsAtOnce) {
    layer_norm_rows<kRowsAtOnce>(args, begin);
  }
  for (; begin < end; ++begin) layer_norm_rows<1>(args, begin);
}

void rms_norm(const NormArgs& args, int64_t begin, int64_t end, std::byte*) {
  for (; begin + kRowsAtOnce <= end; begin += kRowsAtOnce) rms_norm_rows<kRowsAtOnce>(args, begin);
  for (; begin < end; ++begin) rms_norm_rows<1>(args, begin);
}

void group_norm(const ChannelNormArgs& args, int64_t begin, int64_t end, std::byte*) {
  const int64_t channels = args.channels / args.groups;
  const int64_t n = channels * args.inner;
  for (int64_t unit = begin; unit < end; ++unit) {
    const float* x = args.x + unit * n;
    float* y = args.y + unit * n;
    const float mean = sum<S>(x, n) / static_cast<float>(n);
    const float variance = sum_of_squares<S>(x, mean, n) / static_cast<float>(n);
    const auto center = S::set(mean), factor = S::set(inverse_root(variance + args.epsilon));
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t channel = unit % args.groups * channels + c;
      const auto gamma = S::set(args.gamma[channel]), beta = S::set(args.beta[channel]);
      for_vectors<S>(
          args.inner, [=](int64_t i, auto part) __attribute__((always_inline)) {
            const auto v = S::mul(S::sub(part.load(x + c * args.inner + i), center), factor);
            part.store(y + c * args.inner + i, canonical_nan<S>(S::fma(v, gamma, beta)));
          });
    }
  }
}

BCAI_INLINE S::F32 batch_norm_slope(S::F32 gamma, S::F32 variance, S::F32 epsilon) {
  return S::mul(gamma, rsqrt<S>(S::add(variance, epsilon)));
}

void batch_norm_lines(const ChannelNormArgs& args, int64_t begin, int64_t end) {
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t c = unit % args.channels;
    const float* x = args.x + unit * args.inner;
    float* y = args.y + unit * args.inner;
    const auto mean = S::set(args.mean[c]), beta = S::set(args.beta[c]);
    const auto slope =
        batch_norm_slope(S::set(args.gamma[c]), S::set(args.variance[c]), S::set(args.epsilon));
    for_vectors<S>(
        args.inner, [=](int64_t i, auto part) __attribute__((always_inline)) {
          const auto v = S::fma(S::sub(part.load(x + i), mean), slope, beta);
          part.store(y + i, canonical_nan<S>(v));
        });
  }
}

// The slope of a channel serves the rows of a unit.
void batch_norm_rows(const ChannelNormArgs& args, int64_t unit) {
  const int64_t first = unit * kBatchNormRows;
  const int64_t left = args.batch - first;
  const int64_t rows = left < kBatchNormRows ? left : kBatchNormRows;
  const float* x = args.x + first * args.channels;
  float* y = args.y + first * args.channels;
  for_vectors<S>(
      args.channels, [&](int64_t c, auto part) __attribute__((always_inline)) {
        const auto mean = part.load(args.mean + c), beta = part.load(args.beta + c);
        const auto slope = batch_norm_slope(part.load(args.gamma + c), part.load(args.variance + c),
                                            S::set(args.epsilon));
        for (int64_t at = c; at < rows * args.channels; at += args.channels) {
          const auto v = S::fma(S::sub(part.load(x + at), mean), slope, beta);
          part.store(y + at, canonical_nan<S>(v));
        }
      });
}

void batch_norm(const ChannelNormArgs& args, int64_t begin, int64_t end, std::byte*) {
  if (args.inner != 1) return batch_norm_lines(args, begin, end);
  for (int64_t unit = begin; unit < end; ++unit) batch_norm_rows(args, unit);
}

}  // namespace

extern const NormKernels kNormKernels;
const NormKernels kNormKernels = {.layer_norm = layer_norm,
                                  .rms_norm = rms_norm,
                                  .group_norm = group_norm,
                                  .batch_norm = batch_norm};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
