// SPDX-License-Identifier: Apache-2.0
#include "vm/tensor/tensor.h"

// What is read and written again is read as the same tensor.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tensor = bcai::vm::parse_npy({reinterpret_cast<const char*>(data), size});
  if (!tensor) return 0;
  const auto again = bcai::vm::parse_npy(*bcai::vm::format_npy(*tensor));
  BCAI_ASSERT(again && again->type() == tensor->type());
  return 0;
}
