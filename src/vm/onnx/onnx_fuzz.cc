// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/import.h"

// Any bytes are imported or refused with a reason. Verifying the program is fuzzed elsewhere.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto imported = bcai::vm::onnx::import_onnx_bytes(bytes, {}, {});
  BCAI_ASSERT(imported || !imported.error().message.empty());
  return 0;
}
