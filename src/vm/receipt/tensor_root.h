// SPDX-License-Identifier: Apache-2.0
// What stands for a tensor in a receipt: the root of a Merkle tree over its bytes, so that a part
// of it can be shown to belong to it without the rest.
//
//   leaf   SHA-256(0x00, chunk): 64 KiB each, the last one shorter; one empty leaf for no bytes
//   node   SHA-256(0x01, left, right); a node without a sibling moves up as it is
//   root   SHA-256(0x02, dtype code u8, rank u8, dims u64 little-endian, top)
#pragma once

#include "base/crypto.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm {

inline constexpr size_t kRootChunkBytes = size_t{64} << 10;

Sha256 tensor_root(const Tensor& tensor);

}  // namespace bcai::vm
