// SPDX-License-Identifier: Apache-2.0
// How a matmul is cut for the caches. None of it changes a bit: a chain that is cut in k goes on
// from its stored partial sum.
#pragma once

#include "vm/backend/cpu/matmul.h"

namespace bcai::vm {

// Rows of A by depth of one pass: 168 * 1024 floats are 688 KB, which leaves room for a panel of B
// in an L2 of 1 MiB. The deeper a pass, the fewer times are the sums of C stored and taken up
// again. 168 is a multiple of the 14, 8 and 6 rows of the tiles.
inline constexpr int64_t kBlockRows = 168;
inline constexpr int64_t kBlockDepth = 1024;
// Rows up to which A is read along the whole depth at once: one tile, for which B streams once.
inline constexpr int64_t kSkinnyRows = 6;

int64_t matmul_block_rows(const MatMulArgs& args);
int64_t matmul_block_depth(const MatMulArgs& args);

// Whether A is copied into scratch, in rows of matmul_copy_stride() floats.
bool matmul_copies_a(const MatMulArgs& args);
int64_t matmul_copy_stride(const MatMulArgs& args);

}  // namespace bcai::vm
