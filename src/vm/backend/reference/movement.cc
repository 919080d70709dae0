// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "vm/backend/reference/convert.h"
#include "vm/backend/reference/step.h"
#include "vm/isa/choices.h"

namespace bcai::vm::reference {
namespace {

// One element from one tensor to another of the same dtype.
void copy_element(const Tensor& from, int64_t at, Tensor& to, int64_t index) {
  const auto size = static_cast<size_t>(dtype_bytes(from.dtype()));
  std::memcpy(to.bytes().data() + static_cast<size_t>(index) * size,
              from.bytes().data() + static_cast<size_t>(at) * size, size);
}

// result[i] = x[base + Σ index·strides] for every index of the result.
void copy_strided(const Tensor& x, int64_t base, const std::vector<int64_t>& strides,
                  Tensor& result) {
  if (result.elements() == 0) return;
  std::vector<int64_t> index(result.rank(), 0);
  int64_t at = 0;
  do {
    copy_element(x, base + offset_of(index, strides), result, at++);
  } while (next_index(index, result.dims()));
}

void fill_with(Tensor& tensor, const Step& step) {
  with_type(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T value = std::is_same_v<T, float> ? static_cast<T>(step.get_float(Attr::kValue))
                                             : static_cast<T>(step.get_int(Attr::kIntValue));
    std::fill_n(tensor.data<T>(), tensor.elements(), value);
  });
}

}  // namespace

Result<void> fill(const Step& step) {
  fill_with(step.results[0], step);
  return {};
}

Result<void> iota(const Step& step) {
  Tensor& y = step.results[0];
  const AxisSplit split = split_at(y.dims(), static_cast<size_t>(step.get_int(Attr::kAxis)));
  with_type(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < y.elements(); ++i) {
      y.data<T>()[i] = static_cast<T>(i / split.inner % split.extent);
    }
  });
  return {};
}

Result<void> cast(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  for (int64_t i = 0; i < x.elements(); ++i) convert_element(x, i, y, i);
  return {};
}

Result<void> reshape(const Step& step) {
  const auto from = step.operand(0).bytes();
  std::copy(from.begin(), from.end(), step.results[0].bytes().begin());
  return {};
}

Result<void> transpose(const Step& step) {
  const Tensor& x = step.operand(0);
  const std::vector<int64_t> own = strides_of(x.dims());
  std::vector<int64_t> strides;
  for (const int64_t axis : ints_of(step.view, Attr::kPermutation)) {
    strides.push_back(own[static_cast<size_t>(axis)]);
  }
  copy_strided(x, 0, strides, step.results[0]);
  return {};
}

Result<void> broadcast(const Step& step) {
  const Tensor& x = step.operand(0);
  copy_strided(x, 0, broadcast_strides(x.dims(), step.results[0].rank()), step.results[0]);
  return {};
}

Result<void> slice(const Step& step) {
  const Tensor& x = step.operand(0);
  std::vector<int64_t> strides = strides_of(x.dims());
  const std::vector<Dim>& starts = dims_of(step.view, Attr::kStarts);
  const std::vector<int64_t> steps = step.get_ints(Attr::kSteps, x.rank(), 1);
  int64_t base = 0;
  for (size_t axis = 0; axis < x.rank(); ++axis) {
    base += starts[axis].value() * strides[axis];
    strides[axis] *= steps[axis];
  }
  copy_strided(x, base, strides, step.results[0]);
  return {};
}

Result<void> concat(const Step& step) {
  Tensor& y = step.results[0];
  const auto axis = static_cast<size_t>(step.get_int(Attr::kAxis));
  const AxisSplit whole = split_at(y.dims(), axis);
  int64_t begin = 0;
  for (const Tensor* x : step.operands) {
    const AxisSplit part = split_at(x->dims(), axis);
    for (int64_t i = 0; i < x->elements(); ++i) {
      const int64_t outer = i / (part.extent * part.inner);
      const int64_t rest = i % (part.extent * part.inner);
      copy_element(*x, i, y, (outer * whole.extent + begin) * whole.inner + rest);
    }
    begin += part.extent;
  }
  return {};
}

Result<void> split(const Step& step) {
  const Tensor& x = step.operand(0);
  const auto axis = static_cast<size_t>(step.get_int(Attr::kAxis));
  const std::vector<int64_t> strides = strides_of(x.dims());
  int64_t begin = 0;
  for (Tensor& y : step.results) {
    copy_strided(x, begin * strides[axis], strides, y);
    begin += y.dims()[axis];
  }
  return {};
}

Result<void> pad(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  const std::vector<int64_t> low = step.get_ints(Attr::kLow, x.rank(), 0);
  const std::vector<int64_t> strides = strides_of(x.dims());
  const auto mode = static_cast<PadMode>(step.get_int(Attr::kMode));
  fill_with(y, step);
  if (y.elements() == 0) return {};
  std::vector<int64_t> index(y.rank(), 0);
  int64_t at = -1;
  do {
    ++at;
    int64_t from = 0;
    bool inside = true;
    for (size_t axis = 0; axis < x.rank(); ++axis) {
      const int64_t last = x.dims()[axis] - 1;
      int64_t i = index[axis] - low[axis];
      if (i < 0 || i > last) {
        inside = inside && mode != PadMode::kConstant;
        i = mode == PadMode::kEdge ? std::clamp<int64_t>(i, 0, std::max<int64_t>(last, 0))
            : i < 0                ? -i
                                   : 2 * last - i;
      }
      from += i * strides[axis];
    }
    if (inside) copy_element(x, from, y, at);
  } while (next_index(index, y.dims()));
  return {};
}

Result<void> reverse(const Step& step) {
  const Tensor& x = step.operand(0);
  std::vector<int64_t> strides = strides_of(x.dims());
  int64_t base = 0;
  for (const int64_t axis : ints_of(step.view, Attr::kAxes)) {
    const auto i = static_cast<size_t>(axis);
    base += (x.dims()[i] - 1) * strides[i];
    strides[i] = -strides[i];
  }
  copy_strided(x, base, strides, step.results[0]);
  return {};
}

}  // namespace bcai::vm::reference
