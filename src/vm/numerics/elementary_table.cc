// SPDX-License-Identifier: Apache-2.0
#include "vm/numerics/elementary_table.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(ElementaryFunctions, kElementaryFunctions)

const ElementaryFunctions& elementary_functions(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kElementaryFunctions);
}

}  // namespace bcai::vm
