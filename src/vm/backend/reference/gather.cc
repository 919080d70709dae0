// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "vm/backend/reference/step.h"
#include "vm/isa/choices.h"

namespace bcai::vm::reference {
namespace {

// Rule V15: the index, or a trap that names it.
Result<int64_t> read_index(const Step& step, int64_t at, int64_t extent) {
  const Tensor& indices = step.operand(1);
  const int64_t index =
      indices.dtype() == DType::kI64 ? indices.data<int64_t>()[at] : indices.data<int32_t>()[at];
  if (index >= 0 && index < extent) return index;
  if (static_cast<OutOfRange>(step.get_int(Attr::kOutOfRange)) == OutOfRange::kClamp) {
    return index < 0 ? 0 : extent - 1;
  }
  return error(ErrorCode::kInvalidArgument, "{}: index {} at element {} is outside 0 to {}",
               info_of(step.view.opcode).name, index, at, extent - 1);
}

void copy_elements(const Tensor& from, int64_t at_from, Tensor& to, int64_t at_to, int64_t count) {
  const auto size = static_cast<size_t>(dtype_bytes(from.dtype()));
  std::memcpy(to.bytes().data() + static_cast<size_t>(at_to) * size,
              from.bytes().data() + static_cast<size_t>(at_from) * size,
              static_cast<size_t>(count) * size);
}

}  // namespace

Result<void> gather(const Step& step) {
  const Tensor& x = step.operand(0);
  const int64_t axis = step.view.opcode == Opcode::kEmbeddingLookup ? 0 : step.get_int(Attr::kAxis);
  const AxisSplit split = split_at(x.dims(), static_cast<size_t>(axis));
  const int64_t count = step.operand(1).elements();
  for (int64_t outer = 0; outer < split.outer; ++outer) {
    for (int64_t i = 0; i < count; ++i) {
      BCAI_TRY_ASSIGN(const int64_t index, read_index(step, i, split.extent));
      copy_elements(x, (outer * split.extent + index) * split.inner, step.results[0],
                    (outer * count + i) * split.inner, split.inner);
    }
  }
  return {};
}

Result<void> gather_elements(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  if (y.elements() == 0) return {};
  const auto axis = static_cast<size_t>(step.get_int(Attr::kAxis));
  const std::vector<int64_t> strides = strides_of(x.dims());
  std::vector<int64_t> index(y.rank(), 0);
  int64_t at = 0;
  do {
    BCAI_TRY_ASSIGN(const int64_t chosen, read_index(step, at, x.dims()[axis]));
    std::vector<int64_t> from = index;
    from[axis] = chosen;
    copy_elements(x, offset_of(from, strides), y, at++, 1);
  } while (next_index(index, y.dims()));
  return {};
}

}  // namespace bcai::vm::reference
