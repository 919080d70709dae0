// SPDX-License-Identifier: Apache-2.0
// Over x[N, C, spatial…] with 1 to 3 spatial axes; all loops are over three, the missing ones of
// extent 1.
#include <algorithm>
#include <array>
#include <cmath>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/resample.h"
#include "vm/backend/reference/step.h"
#include "vm/backend/reference/sum.h"

namespace bcai::vm::reference {
namespace {

using Triple = std::array<int64_t, 3>;

// The last `rank - 2` numbers, behind ones.
Triple spatial(const std::vector<int64_t>& dims) {
  Triple triple = {1, 1, 1};
  for (size_t i = 2; i < dims.size(); ++i) triple[3 - dims.size() + i] = dims[i];
  return triple;
}
Triple ints(const Step& step, Attr attribute, int64_t otherwise) {
  const size_t axes = step.operand(0).rank() - 2;
  const std::vector<int64_t> given = step.get_ints(attribute, axes, otherwise);
  Triple triple = {otherwise, otherwise, otherwise};
  for (size_t i = 0; i < axes; ++i) triple[3 - axes + i] = given[i];
  return triple;
}
int64_t volume(const Triple& extents) { return extents[0] * extents[1] * extents[2]; }

template <typename Body>
void for_each(const Triple& extents, Body body) {
  for (int64_t a = 0; a < extents[0]; ++a) {
    for (int64_t b = 0; b < extents[1]; ++b) {
      for (int64_t c = 0; c < extents[2]; ++c) body(Triple{a, b, c});
    }
  }
}
int64_t flat(const Triple& index, const Triple& extents) {
  return (index[0] * extents[1] + index[1]) * extents[2] + index[2];
}
bool inside(const Triple& index, const Triple& extents) {
  for (size_t i = 0; i < 3; ++i) {
    if (index[i] < 0 || index[i] >= extents[i]) return false;
  }
  return true;
}

struct Windows {
  Triple in, out, kernel, strides, pads, dilations;

  // Where tap `tap` of output `at` lies in x.
  Triple source(const Triple& at, const Triple& tap) const {
    Triple from{};
    for (size_t i = 0; i < 3; ++i) {
      from[i] = at[i] * strides[i] - pads[i] + tap[i] * dilations[i];
    }
    return from;
  }
};

Windows windows_of(const Step& step, const Triple& kernel) {
  return {spatial(step.operand(0).dims()),
          spatial(step.results[0].dims()),
          kernel,
          ints(step, Attr::kStrides, 1),
          ints(step, Attr::kPadsLow, 0),
          ints(step, Attr::kDilations, 1)};
}

float finish(const Step& step, float sum, int64_t channel) {
  if (step.has(2)) sum += step.operand(2).data<float>()[channel];
  return canonical(activate(static_cast<Activation>(step.get_int(Attr::kActivation)), sum));
}

}  // namespace

// Rule R3 over (kernel position, channel of the group), padding as +0 · weight.
Result<void> convolution(const Step& step) {
  const Tensor& x = step.operand(0);
  const Tensor& weight = step.operand(1);
  Tensor& y = step.results[0];
  const Windows windows = windows_of(step, spatial(weight.dims()));
  const int64_t channels = weight.dims()[1];
  const int64_t outputs = weight.dims()[0];
  const int64_t per_group = outputs / step.get_int(Attr::kGroups);
  for (int64_t image = 0; image < x.dims()[0]; ++image) {
    for (int64_t o = 0; o < outputs; ++o) {
      const int64_t first_channel = o / per_group * channels;
      for_each(windows.out, [&](const Triple& at) {
        float sum = 0;
        for_each(windows.kernel, [&](const Triple& tap) {
          const Triple from = windows.source(at, tap);
          for (int64_t c = 0; c < channels; ++c) {
            const float in = inside(from, windows.in)
                                 ? x.data<float>()[(image * x.dims()[1] + first_channel + c) *
                                                       volume(windows.in) +
                                                   flat(from, windows.in)]
                                 : 0.0F;
            const float w = weight.data<float>()[(o * channels + c) * volume(windows.kernel) +
                                                 flat(tap, windows.kernel)];
            sum = std::fma(in, w, sum);
          }
        });
        y.data<float>()[(image * outputs + o) * volume(windows.out) + flat(at, windows.out)] =
            finish(step, sum, o);
      });
    }
  }
  return {};
}

// Each output gathers the taps that reach it, in the order (kernel position, channel).
Result<void> convolution_transpose(const Step& step) {
  const Tensor& x = step.operand(0);
  const Tensor& weight = step.operand(1);
  Tensor& y = step.results[0];
  const Windows windows = windows_of(step, spatial(weight.dims()));
  const int64_t groups = step.get_int(Attr::kGroups);
  const int64_t channels = x.dims()[1] / groups;
  const int64_t per_group = weight.dims()[1];
  for (int64_t image = 0; image < x.dims()[0]; ++image) {
    for (int64_t o = 0; o < per_group * groups; ++o) {
      for_each(windows.out, [&](const Triple& at) {
        float sum = 0;
        for_each(windows.kernel, [&](const Triple& tap) {
          Triple from{};
          for (size_t i = 0; i < 3; ++i) {
            const int64_t reach = at[i] + windows.pads[i] - tap[i] * windows.dilations[i];
            if (reach < 0 || reach % windows.strides[i] != 0) return;
            from[i] = reach / windows.strides[i];
          }
          if (!inside(from, windows.in)) return;
          for (int64_t c = 0; c < channels; ++c) {
            const int64_t channel = o / per_group * channels + c;
            const float in = x.data<float>()[(image * x.dims()[1] + channel) * volume(windows.in) +
                                             flat(from, windows.in)];
            const float w =
                weight
                    .data<float>()[(channel * per_group + o % per_group) * volume(windows.kernel) +
                                   flat(tap, windows.kernel)];
            sum = std::fma(in, w, sum);
          }
        });
        y.data<float>()[(image * per_group * groups + o) * volume(windows.out) +
                        flat(at, windows.out)] = finish(step, sum, o);
      });
    }
  }
  return {};
}

Result<void> pool(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  const Windows windows = windows_of(step, ints(step, Attr::kKernel, 1));
  const Triple pads_high = ints(step, Attr::kPadsHigh, 0);
  const bool largest = step.view.opcode == Opcode::kMaxPool;
  const bool with_padding = !largest && step.get_int(Attr::kCountIncludePad) != 0;
  for (int64_t plane = 0; plane < x.dims()[0] * x.dims()[1]; ++plane) {
    for_each(windows.out, [&](const Triple& at) {
      float best = 0;
      std::vector<float> taps;
      int64_t padded = 0;
      for_each(windows.kernel, [&](const Triple& tap) {
        const Triple from = windows.source(at, tap);
        bool counted = true;
        for (size_t i = 0; i < 3; ++i) {
          // A window rounded up may reach past the padding; that part counts for nothing.
          counted = counted && from[i] < windows.in[i] + pads_high[i];
        }
        if (counted) ++padded;
        if (!inside(from, windows.in)) return;
        const float in = x.data<float>()[plane * volume(windows.in) + flat(from, windows.in)];
        best = taps.empty() ? in + 0.0F : maximum(best, in);
        taps.push_back(in);
      });
      const auto inside_count = static_cast<int64_t>(taps.size());
      const float mean = sum_r4(taps) / static_cast<float>(with_padding ? padded : inside_count);
      y.data<float>()[plane * volume(windows.out) + flat(at, windows.out)] =
          canonical(largest ? best : mean);
    });
  }
  return {};
}

namespace {

// The two samples between which a result lies, and the weight of the second.
struct Blend {
  int64_t low, high;
  float weight;
};

Blend blend_of(const Step& step, int64_t i, int64_t in, int64_t out) {
  const auto coordinates = static_cast<Coordinates>(step.get_int(Attr::kCoordinates));
  const double position = sample_position(coordinates, i, in, out);
  const auto limit = [&](int64_t at) { return std::clamp<int64_t>(at, 0, in - 1); };
  if (static_cast<ResizeMode>(step.get_int(Attr::kMode)) == ResizeMode::kNearest) {
    const auto rounding = static_cast<Nearest>(step.get_int(Attr::kRounding));
    const int64_t at = limit(static_cast<int64_t>(nearest_sample(rounding, position)));
    return {at, at, 0};
  }
  const double clamped = std::clamp(position, 0.0, static_cast<double>(in - 1));
  const auto low = static_cast<int64_t>(std::floor(clamped));
  return {low, limit(low + 1), static_cast<float>(clamped - std::floor(clamped))};
}

float lerp(float a, float b, float weight) { return std::fma(b - a, weight, a); }

}  // namespace

// Linear: along the last axis first. An axis that keeps its size is not blended.
Result<void> resize(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  const Triple in = spatial(x.dims());
  const Triple out = spatial(y.dims());
  for (int64_t plane = 0; plane < x.dims()[0] * x.dims()[1]; ++plane) {
    const float* const source = x.data<float>() + plane * volume(in);
    for_each(out, [&](const Triple& at) {
      std::array<Blend, 3> blends{};
      for (size_t i = 0; i < 3; ++i) {
        blends[i] = in[i] == out[i] ? Blend{at[i], at[i], 0} : blend_of(step, at[i], in[i], out[i]);
      }
      const auto along = [&](const Blend& blend, auto&& sample) {
        const float first = sample(blend.low);
        return blend.weight == 0 ? first : lerp(first, sample(blend.high), blend.weight);
      };
      const float value = along(blends[0], [&](int64_t a) {
        return along(blends[1], [&](int64_t b) {
          return along(blends[2], [&](int64_t c) { return source[flat({a, b, c}, in)]; });
        });
      });
      y.data<float>()[plane * volume(out) + flat(at, out)] = canonical(value);
    });
  }
  return {};
}

}  // namespace bcai::vm::reference
