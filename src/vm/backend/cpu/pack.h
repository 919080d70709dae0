// SPDX-License-Identifier: Apache-2.0
// Writes panels (panel.h). For *_simd.cc alone.
#pragma once

#include "vm/backend/cpu/panel.h"
#include "vm/backend/cpu/transpose.h"

namespace bcai::vm {

// Rows [begin, end) of one panel of B, given as kRows or kTransposed with `stride` floats from one
// stored row to the next.
template <class S>
void pack_panel(const float* b, int64_t stride, MatrixLayout layout, int64_t columns, int64_t panel,
                int64_t begin, int64_t end, float* packed) {
  const int64_t first = panel * kPanelColumns;
  const int64_t width = panel_width(columns, panel);
  const int64_t valid = columns - first < width ? columns - first : width;
  if (layout == MatrixLayout::kTransposed) {
    transpose<S>(b + first * stride + begin, stride, valid, end - begin, packed, width);
  } else {
    for (int64_t k = begin; k < end; ++k) {
      copy<S>(b + k * stride + first, valid, packed + (k - begin) * width);
    }
  }
  if (valid == width) return;
  for (int64_t k = 0; k < end - begin; ++k) fill_zero<S>(packed + k * width + valid, width - valid);
}

}  // namespace bcai::vm
