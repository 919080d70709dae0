// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"
#include "vm/backend/reference/sum.h"

namespace bcai::vm::reference {
namespace {

struct Moments {
  float mean;
  float rstd;  // 1 / sqrt(variance + epsilon)
};

Moments moments_of(const float* x, int64_t count, float epsilon) {
  const float mean =
      sum_r4(count, [&](float lane, int64_t i) { return lane + x[i]; }) / static_cast<float>(count);
  const float squares = sum_r4(count, [&](float lane, int64_t i) {
    const float off = x[i] - mean;
    return std::fma(off, off, lane);
  });
  return {mean, 1.0F / std::sqrt(squares / static_cast<float>(count) + epsilon)};
}

const float* optional(const Step& step, size_t index) {
  return step.has(index) ? step.operand(index).data<float>() : nullptr;
}

// (x - mean) * rstd, then * scale + bias, fused where both are there.
float normalised(float x, const Moments& moments, const float* scale, const float* bias) {
  const float y = (x - moments.mean) * moments.rstd;
  if (scale != nullptr && bias != nullptr) return std::fma(y, *scale, *bias);
  if (scale != nullptr) return y * *scale;
  return bias != nullptr ? y + *bias : y;
}

}  // namespace

Result<void> softmax(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), static_cast<size_t>(step.get_int(Attr::kAxis)));
  const bool log = step.get_int(Attr::kLog) != 0;
  for (int64_t row = 0; row < split.outer * split.inner; ++row) {
    const int64_t base = row / split.inner * split.extent * split.inner + row % split.inner;
    const float* const in = x.data<float>() + base;
    float* const out = step.results[0].data<float>() + base;
    float most = in[0] + 0.0F;
    for (int64_t i = 1; i < split.extent; ++i) most = maximum(most, in[i * split.inner]);
    std::vector<float> powers;
    for (int64_t i = 0; i < split.extent; ++i) {
      powers.push_back(exp_n1(in[i * split.inner] - most));
    }
    const float sum = sum_r4(powers);
    for (int64_t i = 0; i < split.extent; ++i) {
      out[i * split.inner] = canonical(log ? (in[i * split.inner] - most) - log_n1(sum)
                                           : powers[static_cast<size_t>(i)] / sum);
    }
  }
  return {};
}

Result<void> layer_norm(const Step& step) {
  const Tensor& x = step.operand(0);
  const int64_t width = x.dims().back();
  const float* const scale = optional(step, 1);
  const float* const bias = optional(step, 2);
  for (int64_t row = 0; row < x.elements() / width; ++row) {
    const float* const in = x.data<float>() + row * width;
    const Moments moments = moments_of(in, width, step.get_float(Attr::kEpsilon));
    for (int64_t i = 0; i < width; ++i) {
      step.results[0].data<float>()[row * width + i] =
          canonical(normalised(in[i], moments, scale == nullptr ? nullptr : scale + i,
                               bias == nullptr ? nullptr : bias + i));
    }
  }
  return {};
}

Result<void> rms_norm(const Step& step) {
  const Tensor& x = step.operand(0);
  const int64_t width = x.dims().back();
  const float* const scale = optional(step, 1);
  for (int64_t row = 0; row < x.elements() / width; ++row) {
    const float* const in = x.data<float>() + row * width;
    const float squares =
        sum_r4(width, [&](float lane, int64_t i) { return std::fma(in[i], in[i], lane); });
    const float rms =
        1.0F / std::sqrt(squares / static_cast<float>(width) + step.get_float(Attr::kEpsilon));
    for (int64_t i = 0; i < width; ++i) {
      const float y = in[i] * rms;
      step.results[0].data<float>()[row * width + i] =
          canonical(scale == nullptr ? y : y * scale[i]);
    }
  }
  return {};
}

Result<void> batch_norm(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), 1);
  const float epsilon = step.get_float(Attr::kEpsilon);
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t c = i / split.inner % split.extent;
    const float slope = step.operand(1).data<float>()[c] *
                        (1.0F / std::sqrt(step.operand(4).data<float>()[c] + epsilon));
    const float off = x.data<float>()[i] - step.operand(3).data<float>()[c];
    step.results[0].data<float>()[i] =
        canonical(std::fma(off, slope, step.operand(2).data<float>()[c]));
  }
  return {};
}

Result<void> group_norm(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), 1);
  const int64_t groups = step.get_int(Attr::kGroups);
  const int64_t count = split.extent / groups * split.inner;
  for (int64_t group = 0; group < split.outer * groups; ++group) {
    const float* const in = x.data<float>() + group * count;
    const Moments moments = moments_of(in, count, step.get_float(Attr::kEpsilon));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = (group % groups) * (split.extent / groups) + i / split.inner;
      step.results[0].data<float>()[group * count + i] = canonical(normalised(
          in[i], moments, step.operand(1).data<float>() + c, step.operand(2).data<float>() + c));
    }
  }
  return {};
}

}  // namespace bcai::vm::reference
