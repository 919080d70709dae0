// SPDX-License-Identifier: Apache-2.0
#include "vm/receipt/receipt.h"

// What is accepted is written and read as the same receipt.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = bcai::parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  std::vector<bcai::Finding> findings;
  const auto receipt = bcai::vm::decode_receipt(*value, &findings);
  if (!receipt) return 0;
  const auto again = bcai::vm::decode_receipt(bcai::vm::encode_receipt(*receipt), &findings);
  BCAI_ASSERT(again && again->commitment() == receipt->commitment());
  return 0;
}
