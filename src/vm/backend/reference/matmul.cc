// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"

namespace bcai::vm::reference {

// Rule R3: one chain of fused multiply-adds from +0, ascending k; then + bias, then the activation.
Result<void> matmul(const Step& step) {
  const Tensor& a = step.operand(0);
  const Tensor& b = step.operand(1);
  Tensor& y = step.results[0];
  if (y.elements() == 0) return {};
  const bool transpose_a = step.get_int(Attr::kTransposeA) != 0;
  const bool transpose_b = step.get_int(Attr::kTransposeB) != 0;
  const auto activation = static_cast<Activation>(step.get_int(Attr::kActivation));
  const int64_t depth = a.dims()[a.rank() - (transpose_a ? 2 : 1)];
  const std::vector<int64_t> a_strides = broadcast_strides(a.dims(), y.rank());
  const std::vector<int64_t> b_strides = broadcast_strides(b.dims(), y.rank());
  const size_t m_axis = y.rank() - 2;
  const size_t n_axis = y.rank() - 1;
  const int64_t a_columns = a.dims()[a.rank() - 1];
  const int64_t b_columns = b.dims()[b.rank() - 1];
  std::vector<int64_t> index(y.rank(), 0);
  int64_t at = 0;
  do {
    int64_t a_base = 0;
    int64_t b_base = 0;
    for (size_t axis = 0; axis < m_axis; ++axis) {
      a_base += index[axis] * a_strides[axis];
      b_base += index[axis] * b_strides[axis];
    }
    const int64_t m = index[m_axis];
    const int64_t n = index[n_axis];
    float sum = 0;
    for (int64_t k = 0; k < depth; ++k) {
      const float left =
          a.data<float>()[a_base + (transpose_a ? k * a_columns + m : m * a_columns + k)];
      const float right =
          b.data<float>()[b_base + (transpose_b ? n * b_columns + k : k * b_columns + n)];
      sum = std::fma(left, right, sum);
    }
    if (step.has(2)) sum += step.operand(2).data<float>()[n];
    y.data<float>()[at++] = canonical(activate(activation, sum));
  } while (next_index(index, y.dims()));
  return {};
}

}  // namespace bcai::vm::reference
