// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"
#include "vm/backend/reference/sum.h"
#include "vm/isa/choices.h"

namespace bcai::vm::reference {
namespace {

float fold_f32(Opcode opcode, const std::vector<float>& terms) {
  switch (opcode) {
    case Opcode::kReduceSum: return sum_r4(terms);
    case Opcode::kReduceMean: return sum_r4(terms) / static_cast<float>(terms.size());
    case Opcode::kReduceProd: return product_r4(terms);
    default: {
      float best = terms[0] + 0.0F;
      for (const float term : terms) {
        best = opcode == Opcode::kReduceMax ? maximum(best, term) : minimum(best, term);
      }
      return best;
    }
  }
}

template <typename T>
T fold_integer(Opcode opcode, const std::vector<T>& terms) {
  if (opcode == Opcode::kReduceMax) return *std::max_element(terms.begin(), terms.end());
  if (opcode == Opcode::kReduceMin) return *std::min_element(terms.begin(), terms.end());
  uint64_t sum = 0;
  for (const T term : terms) sum += static_cast<uint64_t>(term);
  return static_cast<T>(sum);
}

// Whether a comes before b: greater (or less), NaN first.
template <typename T>
bool better(T a, T b, bool largest) {
  if constexpr (std::is_same_v<T, float>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && !std::isnan(b);
  }
  return largest ? a > b : a < b;
}

}  // namespace

Result<void> reduce(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  std::vector<bool> reduced(x.rank());
  for (const int64_t axis : ints_of(step.view, Attr::kAxes)) {
    reduced[static_cast<size_t>(axis)] = true;
  }
  std::vector<int64_t> kept_dims;
  std::vector<int64_t> kept_strides;
  std::vector<int64_t> inner_dims;
  std::vector<int64_t> inner_strides;
  const std::vector<int64_t> strides = strides_of(x.dims());
  for (size_t axis = 0; axis < x.rank(); ++axis) {
    (reduced[axis] ? inner_dims : kept_dims).push_back(x.dims()[axis]);
    (reduced[axis] ? inner_strides : kept_strides).push_back(strides[axis]);
  }
  if (y.elements() == 0) return {};
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<int64_t> kept(kept_dims.size(), 0);
    int64_t at = 0;
    do {
      std::vector<T> terms;
      std::vector<int64_t> inner(inner_dims.size(), 0);
      do {
        terms.push_back(
            x.data<T>()[offset_of(kept, kept_strides) + offset_of(inner, inner_strides)]);
      } while (next_index(inner, inner_dims));
      if constexpr (std::is_same_v<T, float>) {
        y.data<T>()[at++] = canonical(fold_f32(step.view.opcode, terms));
      } else {
        y.data<T>()[at++] = fold_integer(step.view.opcode, terms);
      }
    } while (next_index(kept, kept_dims));
  });
  return {};
}

Result<void> arg_reduce(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), static_cast<size_t>(step.get_int(Attr::kAxis)));
  const bool largest = step.view.opcode == Opcode::kArgMax;
  const bool last = step.get_int(Attr::kSelect) != 0;
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = 0; row < split.outer * split.inner; ++row) {
      const T* const base =
          x.data<T>() + row / split.inner * split.extent * split.inner + row % split.inner;
      int64_t best = 0;
      for (int64_t i = 1; i < split.extent; ++i) {
        const T found = base[i * split.inner];
        const T held = base[best * split.inner];
        if (better(found, held, largest) || (last && !better(held, found, largest))) best = i;
      }
      step.results[0].data<int64_t>()[row] = best;
    }
  });
  return {};
}

Result<void> cum_sum(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), static_cast<size_t>(step.get_int(Attr::kAxis)));
  const bool from_end = step.get_int(Attr::kReverse) != 0;
  const bool exclusive = step.get_int(Attr::kExclusive) != 0;
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = 0; row < split.outer * split.inner; ++row) {
      const int64_t base = row / split.inner * split.extent * split.inner + row % split.inner;
      T sum = 0;
      for (int64_t i = 0; i < split.extent; ++i) {
        const int64_t at = base + (from_end ? split.extent - 1 - i : i) * split.inner;
        const T before = sum;
        if constexpr (std::is_same_v<T, float>) {
          sum = canonical(sum + x.data<T>()[at]);
        } else {
          sum = static_cast<T>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(x.data<T>()[at]));
        }
        step.results[0].data<T>()[at] = exclusive ? before : sum;
      }
    }
  });
  return {};
}

Result<void> top_k(const Step& step) {
  const Tensor& x = step.operand(0);
  const AxisSplit split = split_at(x.dims(), static_cast<size_t>(step.get_int(Attr::kAxis)));
  const int64_t k = step.get_int(Attr::kK);
  const bool largest = static_cast<Largest>(step.get_int(Attr::kLargest)) == Largest::kLargest;
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = 0; row < split.outer * split.inner; ++row) {
      const T* const base =
          x.data<T>() + row / split.inner * split.extent * split.inner + row % split.inner;
      std::vector<int64_t> order(static_cast<size_t>(split.extent));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return better(base[a * split.inner], base[b * split.inner], largest);
      });
      const int64_t out = row / split.inner * k * split.inner + row % split.inner;
      for (int64_t i = 0; i < k; ++i) {
        const int64_t chosen = order[static_cast<size_t>(i)];
        step.results[0].data<T>()[out + i * split.inner] = base[chosen * split.inner];
        step.results[1].data<int64_t>()[out + i * split.inner] = chosen;
      }
    }
  });
  return {};
}

}  // namespace bcai::vm::reference
