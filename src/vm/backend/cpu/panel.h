// SPDX-License-Identifier: Apache-2.0
// The layout of a packed matrix B[depth, columns]: panels of kPanelColumns columns, each a sequence
// of rows, so that a kernel reads one sequential stream. The last panel has as many times
// 16 columns as hold the rest; columns past the end are zeros. The same for every SIMD level.
#pragma once

#include <cstdint>

#include "vm/numerics/simd.h"

namespace bcai::vm {

// A cache of packed blobs on disk has it in its key.
inline constexpr int kPanelVersion = 2;

inline constexpr int64_t kPanelColumns = 64;

// The least multiple of b that is not below a.
constexpr BCAI_INLINE int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

constexpr BCAI_INLINE int64_t panel_count(int64_t columns) {
  return (columns + kPanelColumns - 1) / kPanelColumns;
}

// Columns stored for a panel: 16, 32, 48 or 64.
constexpr BCAI_INLINE int64_t panel_width(int64_t columns, int64_t panel) {
  const int64_t rest = columns - panel * kPanelColumns;
  return rest > kPanelColumns ? kPanelColumns : rest <= 16 ? 16 : (rest + 15) / 16 * 16;
}

// Floats of all panels.
constexpr BCAI_INLINE int64_t panel_floats(int64_t depth, int64_t columns) {
  if (columns == 0) return 0;
  const int64_t last = panel_count(columns) - 1;
  return depth * (last * kPanelColumns + panel_width(columns, last));
}

enum class MatrixLayout : uint8_t {
  kRows,        // row-major
  kTransposed,  // the transposed matrix is row-major: B as [columns, depth]
  kPacked,      // panels
  kGathered,    // within this room: the rows of A are written block by block
};

}  // namespace bcai::vm
